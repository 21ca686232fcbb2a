package e2e

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// A node is a machine to its pods: user namespaces, the files and devices that agents of every kind mount from it, a
// folder for static pods, and settings of its kubelet. docs/nodes.md promises what is tested here.
func TestANodeIsAMachine(t *testing.T) {
	t.Parallel()
	loopsBefore := attachedLoops(t)
	c := harness.New(t)
	c.Start(t, "--nodes", "1")
	c.LoadImages(t)
	n := c.NewNamespace(t)
	node := c.Nodes(t)[0]
	for _, test := range []struct {
		name string
		run  func(*testing.T, *harness.Namespace, string)
	}{
		{"user namespaces", testUserNamespaces},
		{"files", testFilesOfTheNode},
		{"open files", testOpenFiles},
		{"NFS", testMountHelper},
		{"static pods and kubelet settings", testStaticPodsAndDropIns},
		{"containerd settings", testContainerdSettings},
		{"devices", testDevices},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, n, node) })
	}
	c.Must(t, "delete")
	if left := attachedLoops(t); !slices.Equal(left, loopsBefore) {
		t.Errorf("loop devices in use on this machine are %v, before the cluster %v", left, loopsBefore)
	}
}

// attachedLoops are the loop devices of this machine that have a file of these tests.
func attachedLoops(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if data, err := os.ReadFile(f); err == nil && strings.Contains(string(data), "loop-of-a-test") {
			names = append(names, f)
		}
	}
	return names
}

// sleeping is a pod that does nothing, with a shell to look around in it.
func sleeping(n *harness.Namespace, name string, change ...func(*corev1.PodSpec)) *corev1.Pod {
	p := n.Pod(name, harness.Busybox, "-c", "exec sleep 100000")
	for _, f := range change {
		f(&p.Spec)
	}
	return p
}

func withVolume(name, path string, source corev1.VolumeSource) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.Volumes = append(s.Volumes, corev1.Volume{Name: name, VolumeSource: source})
		s.Containers[0].VolumeMounts = append(s.Containers[0].VolumeMounts, corev1.VolumeMount{Name: name, MountPath: path})
	}
}

func hostPath(path string, kind corev1.HostPathType) corev1.VolumeSource {
	return corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &kind}}
}

func ownUsers(s *corev1.PodSpec) { s.HostUsers = new(false) }

func testUserNamespaces(t *testing.T, n *harness.Namespace, node string) {
	claim(t, n, "own", "")
	n.Kubectl(t, "-n", n.Namespace, "create", "secret", "generic", "own", "--from-literal=word=whisper")
	harness.InNode(t, node, "sh", "-c", "mkdir -p /var/lib/own && echo host >/var/lib/own/file")
	users := sleeping(n, "users", ownUsers,
		withVolume("empty", "/empty", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}),
		withVolume("memory", "/memory", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}),
		withVolume("claim", "/claim", corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "own"}}),
		withVolume("secret", "/secret", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "own"}}),
		withVolume("host", "/host", hostPath("/var/lib/own", corev1.HostPathDirectory)),
		withVolume("zone", "/etc/localtime", hostPath("/etc/localtime", corev1.HostPathFile)),
		withVolume("system", "/etc/os-release", hostPath("/etc/os-release", corev1.HostPathFile)),
		withVolume("image", "/image", corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: harness.Testpod, PullPolicy: corev1.PullNever}}),
	)
	unmasked := sleeping(n, "unmasked", ownUsers, func(s *corev1.PodSpec) {
		s.Containers[0].SecurityContext = &corev1.SecurityContext{
			ProcMount: new(corev1.UnmaskedProcMount), Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}},
		}
	})
	privileged := sleeping(n, "privileged", ownUsers, func(s *corev1.PodSpec) {
		s.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
	})
	n.Create(t, users, unmasked, privileged)
	for _, pod := range []string{"users", "unmasked", "privileged"} {
		ids := strings.Fields(n.Exec(t, pod, "cat", "/proc/self/uid_map"))
		if first, err := strconv.Atoi(ids[1]); len(ids) != 3 || err != nil || ids[0] != "0" || first < 1<<16 {
			t.Errorf("the ids of pod %s are %v, want root to be another user outside", pod, ids)
		}
	}
	got := n.Exec(t, "users", "sh", "-ec", `for d in /empty /memory /claim; do echo mine >$d/file; cat $d/file; done
		cat /secret/word; echo; cat /host/file; test -x /image/bin/testpod && echo image; stat -c %u /image/bin/testpod`)
	if want := []string{"mine", "mine", "mine", "whisper", "host", "image", "0"}; !slices.Equal(strings.Fields(got), want) {
		t.Errorf("in the volumes are %q, want %q", strings.Fields(got), want)
	}
	n.Exec(t, "unmasked", "unshare", "-r", "true")
	n.Exec(t, "unmasked", "sh", "-c", "mkdir /p && mount -t proc proc /p")
	// Nothing covers the node's own /proc, which is why the pods could have theirs.
	for line := range strings.Lines(harness.InNode(t, node, "cat", "/proc/mounts")) {
		if path := strings.Fields(line)[1]; strings.HasPrefix(path, "/proc/") && !strings.HasPrefix(path, "/proc/sys/fs/binfmt_misc") {
			t.Errorf("%s is covered in the node", path)
		}
	}
}

func testFilesOfTheNode(t *testing.T, n *harness.Namespace, node string) {
	type file struct {
		path string
		kind corev1.HostPathType
	}
	files := []file{
		{"/etc/localtime", corev1.HostPathFile}, {"/etc/localtime", corev1.HostPathUnset}, {"/etc/timezone", corev1.HostPathFile},
		{"/usr/share/zoneinfo", corev1.HostPathDirectory}, {"/etc/machine-id", corev1.HostPathFile}, {"/etc/os-release", corev1.HostPathFile},
		{"/lib/modules", corev1.HostPathDirectory}, {"/usr/src", corev1.HostPathDirectory}, {"/run/udev", corev1.HostPathDirectory},
		{"/etc/kubernetes", corev1.HostPathDirectory}, {"/sys", corev1.HostPathDirectory},
	}
	// What depends on the machine's kernel.
	for _, f := range []file{
		{"/sys/kernel/debug", corev1.HostPathDirectory}, {"/sys/fs/bpf", corev1.HostPathDirectory}, {"/dev/kmsg", corev1.HostPathCharDev},
		{"/dev/loop-control", corev1.HostPathCharDev}, {"/dev/fuse", corev1.HostPathCharDev},
	} {
		if _, err := os.Stat(f.path); err == nil {
			files = append(files, f)
		}
	}
	p := sleeping(n, "files")
	for i, f := range files {
		withVolume(fmt.Sprint("v", i), fmt.Sprint("/node/", i), hostPath(f.path, f.kind))(&p.Spec)
	}
	n.Create(t, p)
	for i := range 2 {
		zone, err := os.ReadFile("/etc/localtime")
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		got, err2 := base64.StdEncoding.DecodeString(strings.ReplaceAll(n.Exec(t, "files", "base64", fmt.Sprint("/node/", i)), "\n", ""))
		if err != nil || err2 != nil || string(got) != string(zone) {
			t.Errorf("%s of the node has %d bytes (%v, %v), want this machine's %d", files[i].path, len(got), err, err2, len(zone))
		}
	}
	if got := n.Exec(t, "files", "sh", "-c", "TZ=/node/3/Asia/Tokyo date +%Z"); strings.TrimSpace(got) != "JST" {
		t.Errorf("the zone Asia/Tokyo of the node is %q", got)
	}
}

// Every process of a node may open as many files, unless the engine allows it fewer.
func testOpenFiles(t *testing.T, n *harness.Namespace, node string) {
	want := 1 << 20
	hard := harness.InNode(t, node, "sh", "-c", "ulimit -Hn") // as the engine gives them
	if engine, err := strconv.Atoi(strings.TrimSpace(hard)); err == nil && engine < want {
		want = engine
	}
	n.Create(t, sleeping(n, "limits"))
	got := strings.Fields(n.Exec(t, "limits", "sh", "-c", "ulimit -Sn; ulimit -Hn"))
	if !slices.Equal(got, []string{fmt.Sprint(want), fmt.Sprint(want)}) && !slices.Equal(got, []string{fmt.Sprint(1 << 20), fmt.Sprint(1 << 20)}) {
		t.Errorf("a pod may open %v files, want %d", got, want)
	}
}

func testMountHelper(t *testing.T, n *harness.Namespace, node string) {
	p := sleeping(n, "nfs", withVolume("share", "/share", corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "192.0.2.1", Path: "/x"}}))
	if _, err := n.Client.CoreV1().Pods(n.Namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, time.Minute, "the problem with NFS", func() error {
		s, _ := n.Status(t)
		for _, p := range s.Problems {
			if p.Kind == cluster.ProblemMount && p.Object == "pod/"+n.Namespace+"/nfs" {
				if p.Cause != "node "+node+" has no program to mount NFS (mount.nfs)" {
					t.Errorf("the cause is %q", p.Cause)
				}
				return nil
			}
		}
		return fmt.Errorf("problems are %+v", s.Problems)
	})
	n.Kubectl(t, "-n", n.Namespace, "delete", "pod", "nfs", "--now", "--wait=false")
}

const (
	staticPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"static"},"spec":{"containers":[
		{"name":"main","image":"` + harness.Busybox + `","imagePullPolicy":"Never","args":["-c","exec sleep 100000"]}]}}`
	dropIn = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nallowedUnsafeSysctls: [net.core.somaxconn]\n"
)

func testStaticPodsAndDropIns(t *testing.T, n *harness.Namespace, node string) {
	put := func(path, text string) {
		if r := n.RunWithInput(t, strings.NewReader(text), "ssh", "-p", n.Name, node, "--", "tee", path); r.Code != 0 {
			t.Fatal(r)
		}
	}
	put("/etc/kubernetes/manifests/static.json", staticPod)
	put("/etc/kubernetes/kubelet.conf.d/10-mine.conf", dropIn)
	n.Must(t, "ssh", node, "--", "killall", "bonsai")
	tuned := func(name string) *corev1.Pod {
		return sleeping(n, name, func(s *corev1.PodSpec) {
			s.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "net.core.somaxconn", Value: "1234"}}}
		})
	}
	mirror := func() {
		harness.Until(t, harness.PodLimit, "static pod Ready", func() error {
			p, err := n.Client.CoreV1().Pods("default").Get(t.Context(), "static-"+node, metav1.GetOptions{})
			if err != nil {
				return err
			}
			return harness.Ready(p)
		})
	}
	accepted := func(name string) {
		harness.Until(t, harness.PodLimit, "a pod with its own sysctl", func() error {
			// Before the kubelet has restarted it rejects the pod for good.
			if _, err := n.Client.CoreV1().Pods(n.Namespace).Create(t.Context(), tuned(name), metav1.CreateOptions{}); err != nil && !strings.Contains(err.Error(), "exists") {
				return err
			}
			p, err := n.Client.CoreV1().Pods(n.Namespace).Get(t.Context(), name, metav1.GetOptions{})
			if err == nil && p.Status.Reason == "SysctlForbidden" {
				_ = n.Client.CoreV1().Pods(n.Namespace).Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
			}
			if err == nil {
				err = harness.Ready(p)
			}
			return err
		})
		if got := strings.TrimSpace(n.Exec(t, name, "cat", "/proc/sys/net/core/somaxconn")); got != "1234" {
			t.Errorf("net.core.somaxconn of the pod is %s", got)
		}
	}
	mirror()
	accepted("tuned")
	// Both are the node's own and outlive its restart.
	n.Must(t, "stop")
	n.Must(t, "start")
	mirror()
	accepted("tuned-again")
	// An invalid file is named, and the node comes back when it is gone.
	put("/etc/kubernetes/kubelet.conf.d/20-wrong.conf", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPodz: 1\n")
	n.Must(t, "ssh", node, "--", "killall", "bonsai")
	kubelet := func() (wrong bool, problems []cluster.Problem) {
		s, _ := n.Status(t)
		return slices.ContainsFunc(s.Problems, func(p cluster.Problem) bool { return p.Object == "component/"+node+"/kubelet" }), s.Problems
	}
	harness.Until(t, time.Minute, "status to report the kubelet", func() error {
		if wrong, problems := kubelet(); !wrong {
			return fmt.Errorf("problems are %+v", problems)
		}
		return nil
	})
	// The problem may be that the kubelet has just been killed; it says more when it begins again.
	harness.Until(t, time.Minute, "the kubelet's log to name the file and the setting", func() error {
		if log := n.Must(t, "logs", "kubelet", "--node", node, "--tail", "20"); !strings.Contains(log, "20-wrong.conf") || !strings.Contains(log, "maxPodz") {
			return fmt.Errorf("it says:\n%s", log)
		}
		return nil
	})
	n.Must(t, "ssh", node, "--", "rm", "/etc/kubernetes/kubelet.conf.d/20-wrong.conf", "/etc/kubernetes/manifests/static.json")
	harness.Until(t, time.Minute, "the kubelet to run again", func() error {
		if wrong, problems := kubelet(); wrong {
			return fmt.Errorf("problems are %+v", problems)
		}
		return nil
	})
}

// testContainerdSettings: a good file is in force, and with a wrong one containerd does not run until it is gone.
func testContainerdSettings(t *testing.T, n *harness.Namespace, node string) {
	const file = "/etc/kubernetes/containerd.conf.d/10-mine.toml"
	put := func(setting string) {
		t.Helper()
		text := "version = 3\n[plugins.\"io.containerd.cri.v1.images\"]\n  " + setting + " = 7\n"
		if r := n.RunWithInput(t, strings.NewReader(text), "ssh", "-p", n.Name, node, "--", "tee", file); r.Code != 0 {
			t.Fatal(r)
		}
		n.Must(t, "ssh", node, "--", "killall", "containerd")
	}
	is := func(what string, ok func(reason string, failed bool) bool) {
		t.Helper()
		harness.Until(t, time.Minute, what, func() error {
			s, _ := n.Status(t)
			i := slices.IndexFunc(s.Problems, func(p cluster.Problem) bool { return p.Object == "component/"+node+"/containerd" })
			reason := ""
			if i >= 0 {
				reason = fmt.Sprintf("%+v", s.Problems[i])
			}
			if !ok(reason, i >= 0) {
				return fmt.Errorf("problems are %+v", s.Problems)
			}
			return nil
		})
	}
	put("max_concurrent_downloads")
	is("containerd to run with the setting", func(_ string, failed bool) bool { return !failed })
	if text := n.Must(t, "ssh", node, "--", "containerd", "--config", "/etc/containerd/config.toml", "config", "dump"); !strings.Contains(text, "max_concurrent_downloads = 7") {
		t.Errorf("its configuration is\n%s", text)
	}
	put("max_concurrent_downloadz")
	is("status to name the setting", func(reason string, _ bool) bool {
		return strings.Contains(reason, "10-mine.toml") && strings.Contains(reason, "unknown setting max_concurrent_downloadz")
	})
	n.Must(t, "ssh", node, "--", "rm", file)
	is("containerd to run again", func(_ string, failed bool) bool { return !failed })
	n.Create(t, sleeping(n, "after-containerd"))
}

// The last one: a loop device stays in use, which must not outlive the cluster.
func testDevices(t *testing.T, n *harness.Namespace, node string) {
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("this machine has no loop devices:", err)
	}
	privileged := func(s *corev1.PodSpec) {
		s.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
	}
	n.Create(t, sleeping(n, "loops", privileged, withVolume("dev", "/dev", hostPath("/dev", corev1.HostPathDirectory))))
	// The kernel makes another device when all are in use, which has to appear without a restart of anything.
	n.Exec(t, "loops", "sh", "-ec", `dd if=/dev/zero of=/loop-of-a-test bs=1M count=2 2>/dev/null
		for i in $(seq 10); do
			for t in $(seq 50); do d=$(losetup -f); [ -b "$d" ] && break; usleep 100000; done
			losetup "$d" /loop-of-a-test
		done
		for d in $(losetup -a | grep loop-of-a-test | cut -d: -f1 | tail -n +2); do losetup -d $d; done`)
	if got := len(attachedLoops(t)); got != 1 {
		t.Errorf("%d loop devices are in use, want 1: the others were detached", got)
	}
	name := strings.TrimPrefix(strings.TrimSpace(n.Exec(t, "loops", "sh", "-c", "losetup -a | grep loop-of-a-test | cut -d: -f1")), "/dev/")
	// A pod that comes later has the device without a volume.
	n.Create(t, sleeping(n, "later", privileged))
	n.Exec(t, "later", "test", "-b", "/dev/"+name)
	harness.InNode(t, node, "test", "-b", "/dev/"+name)
}
