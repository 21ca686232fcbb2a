package componentlog

import "testing"

func TestLastWords(t *testing.T) {
	for name, c := range map[string]struct{ log, want string }{
		"nothing": {"I1129 07:12:01.000001 a.go:1] Starting\nW1129 07:12:01.000001 a.go:1] Odd err=\"x\"\n", ""},
		"an error, then more": {
			"E1129 07:12:01.000001 a.go:1] First err=\"one\"\nE1129 07:12:02.000001 b.go:22] Failed to start cAdvisor err=\"inotify_init: too many open files\"\nI1129 07:12:02.000002 c.go:3] Bye\n",
			"Failed to start cAdvisor: inotify_init: too many open files",
		},
		"upstream's klog": {
			"E1129 07:12:02.000001   12345 run.go:72] \"command failed\" err=\"failed to run Kubelet: boom\" pod=\"a/b\"\n",
			"command failed: failed to run Kubelet: boom",
		},
		"the end beats an error": {
			"error: run kubelet: observe machine: inotify_init: too many open files\nE1129 07:12:02.000001 b.go:22] Late err=\"x\"\n",
			"run kubelet: observe machine: inotify_init: too many open files",
		},
		"a panic":         {"panic: runtime error: index out of range\n\ngoroutine 1 [running]:\nmain.main()\n", "runtime error: index out of range"},
		"out of threads":  {"runtime: may need to increase max user processes (ulimit -u)\nfatal error: newosproc\n", "fatal error: newosproc"},
		"klog's fatal":    {"F1129 07:12:02.000001 b.go:22] no kernel\n", "no kernel"},
		"containerd":      {`time="2026-11-29T07:12:02Z" level=error msg="failed to load plugin" error="failed to create fsnotify watcher: too many open files" id=io.containerd.cri.v1` + "\n", "failed to load plugin: failed to create fsnotify watcher: too many open files"},
		"without quotes":  {"time=2026-11-29T07:12:02Z level=fatal msg=boom\n", "boom"},
		"no error value":  {"E1129 07:12:02.000001 b.go:22] Lost the lease\n", "Lost the lease"},
		"message quoted":  {"E1129 07:12:02.000001 b.go:22] \"a\\nb\" err=\"c\"\n", "a b: c"},
		"no line's end":   {"E1129 07:12:02.000001 b.go:22] Cut off err=\"half", "Cut off: \"half"},
		"a program's own": {"level=info msg=fine\nError: unknown flag\n", "unknown flag"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := LastWords(c.log); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzLastWords(f *testing.F) {
	f.Add("E1129 07:12:02.000001 b.go:22] \"a\\nb\" err=\"c")
	f.Add("time=\"x\" level=error msg=\"")
	f.Fuzz(func(t *testing.T, log string) {
		if got := LastWords(log); len(got) > maxWords {
			t.Errorf("%d bytes", len(got))
		}
	})
}
