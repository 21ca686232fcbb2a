package lastwords_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bonsai/bootstrap/lastwords"
)

// envWay makes this executable a process that ends in one of the ways.
const envWay = "TEST_WAY_TO_END"

func TestMain(m *testing.M) {
	way, path, _ := strings.Cut(os.Getenv(envWay), " ")
	if way == "" {
		os.Exit(m.Run())
	}
	r, err := lastwords.Open(path)
	if err != nil {
		panic(err)
	}
	switch way {
	case "panic":
		panic("boom")
	case "say":
		r.Say("the disk is full\n\nand more\n")
		r.Say("a consequence")
		panic("another consequence")
	case "race":
		m := map[int]int{}
		for range 2 {
			go func() {
				for {
					m[1]++
				}
			}()
		}
		select {}
	case "descriptors":
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{}); err != nil {
			panic(err)
		}
		if _, err := os.Open(path); err == nil {
			panic("there are descriptors")
		}
		r.Say("no descriptors")
		os.Exit(1)
	case "full":
		full(r, path)
	case "killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "orderly":
		if err := r.Withdraw(); err != nil {
			panic(err)
		}
	}
}

func TestWaysToEnd(t *testing.T) {
	for way, want := range map[string]struct {
		reason string
		left   bool
	}{
		"panic":       {"panic: boom", true},
		"say":         {"the disk is full\nand more", true},
		"race":        {"", true},
		"descriptors": {"no descriptors", true},
		"killed":      {"", true},
		"orderly":     {"", false},
	} {
		t.Run(way, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "crash.txt")
			if err := os.WriteFile(path, []byte("what an earlier process said"), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), envWay+"="+way+" "+path)
			out, err := cmd.CombinedOutput()
			if (err == nil) != (way == "orderly") {
				t.Errorf("the process: %v\n%s", err, out)
			}
			reason, left := lastwords.Read(path)
			if reason != want.reason || left != want.left {
				t.Errorf("read %q, %v; want %q, %v\n%s", reason, left, want.reason, want.left, out)
			}
		})
	}
}

func TestForgetIsForGood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crash.txt")
	for range 2 {
		if err := lastwords.Forget(path); err != nil {
			t.Error(err)
		}
	}
}
