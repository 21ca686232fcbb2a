package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/statedir"
	"bonsai/test/e2e/harness"
)

// writer counts in a ConfigMap as fast as the API server confirms it, whatever happens to that.
type writer struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu        sync.Mutex // guards the rest
	confirmed int
	at        time.Time // of the last confirmation
	gap       time.Duration
}

// startWriter starts counting; every write that was confirmed is in etcd from then on.
func startWriter(t *testing.T, client kubernetes.Interface) *writer {
	t.Helper()
	maps := client.CoreV1().ConfigMaps("default")
	counter := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("counter-%d", time.Now().UnixNano())}, Data: map[string]string{"n": "0"}}
	counter, err := maps.Create(t.Context(), counter, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := &writer{stop: cancel, at: time.Now()}
	w.done.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 1; ctx.Err() == nil; n++ {
			// The version is not sent: after a failure nobody knows whether the write has happened.
			next := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: counter.Name}, Data: map[string]string{"n": strconv.Itoa(n)}}
			limited, done := context.WithTimeout(ctx, 5*time.Second)
			_, err := maps.Update(limited, next, metav1.UpdateOptions{})
			done()
			if err == nil {
				w.confirm(n)
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		w.done.Wait()
	})
	return w
}

func (w *writer) confirm(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.gap = max(w.gap, now.Sub(w.at))
	w.confirmed, w.at = n, now
}

func (w *writer) last() (int, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.confirmed, w.at
}

// ends stops counting and checks that the store has the last confirmed number, or one that was under way.
func (w *writer) ends(t *testing.T, client kubernetes.Interface) (longestGap time.Duration) {
	t.Helper()
	w.stop()
	w.done.Wait()
	confirmed, _ := w.last()
	list, err := client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	newest := -1
	for _, m := range list.Items {
		if n, err := strconv.Atoi(m.Data["n"]); err == nil {
			newest = max(newest, n)
		}
		if _, ok := m.Data["n"]; ok {
			_ = client.CoreV1().ConfigMaps("default").Delete(t.Context(), m.Name, metav1.DeleteOptions{})
		}
	}
	if newest < confirmed {
		t.Errorf("the API server confirmed %d and has %d: a confirmed write is lost", confirmed, newest)
	}
	return w.gap
}

// testKilledDaemon kills the control plane while somebody writes: the guardian brings it back, no confirmed write is lost,
// and status says what happened.
func testKilledDaemon(t *testing.T, c *harness.Cluster) {
	client := c.Client(t)
	w := startWriter(t, client)
	harness.Until(t, 30*time.Second, "a first write", func() error {
		if n, _ := w.last(); n == 0 {
			return errors.New("none is confirmed")
		}
		return nil
	})
	state := statedir.Dir{Root: c.Dir}.Cluster(c.Name)
	before := state.Restarts().Total()
	pid := daemonPID(t, c)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	harness.Until(t, 60*time.Second, "writes after the kill", func() error {
		if _, at := w.last(); at.Before(killed.Add(100 * time.Millisecond)) {
			return errors.New("none is confirmed")
		}
		return nil
	})
	if now := daemonPID(t, c); now == pid {
		t.Errorf("writes are confirmed, but the daemon is still process %d", now)
	}
	t.Logf("after a kill of the control plane, writes were confirmed again after %s (longest gap)", w.ends(t, client).Round(time.Millisecond))
	harness.Until(t, 60*time.Second, "a healthy cluster", func() error {
		s, code := c.Status(t)
		if code != 0 {
			return fmt.Errorf("status exits with %d: %s", code, s.Phase)
		}
		return nil
	})
	s, _ := c.Status(t)
	if s.Restarts.Total() != before+1 || !hasProblem(s, cluster.ProblemRestarted) {
		t.Errorf("status has %+v and %+v, want one more restart and a problem that says so", s.Restarts, s.Problems)
	}
}

func hasProblem(s cluster.Snapshot, kind string) bool {
	for _, p := range s.Problems {
		if p.Kind == kind {
			return true
		}
	}
	return false
}

// TestSurvival injures a cluster of three nodes in every way that an ordinary machine does, and looks afterwards that
// nothing is lost: objects, pods, the data of claims, names.
func TestSurvival(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "3")
	c.LoadImages(t)
	s := newSurvivor(t, c)
	s.wantWhole(t)
	w := startWriter(t, c.Client(t))

	node := s.nodes[1]
	for _, injury := range []struct {
		name string
		do   func(*testing.T)
		// start says that a person has to start it, as "bonsai status" advises.
		start bool
	}{
		{"the control plane is killed", func(t *testing.T) { kill(t, daemonPID(t, c)) }, false},
		{"an agent, with DNS, is killed", func(t *testing.T) { harness.InNode(t, node, "sh", "-c", "kill -9 $(pidof bonsai-agent)") }, false},
		{"a kubelet is killed", func(t *testing.T) { killComponent(t, c, node, "kubelet") }, false},
		{"a containerd is killed", func(t *testing.T) { killComponent(t, c, node, "containerd") }, false},
		{"a kube-proxy is killed", func(t *testing.T) { killComponent(t, c, node, "kube-proxy") }, false},
		{"process 1 of a node is killed", func(t *testing.T) { killFirstProcess(t, node) }, false},
		{"a node's container is restarted", func(t *testing.T) { harness.Docker(t, "restart", "-t", "0", harness.Container(t, node)) }, false},
		{"a node's container is stopped", func(t *testing.T) { harness.Docker(t, "stop", "-t", "0", harness.Container(t, node)) }, true},
		{"a node's container is removed", func(t *testing.T) { harness.Docker(t, "rm", "-f", harness.Container(t, node)) }, true},
		{"a node's container is paused", func(t *testing.T) { harness.Docker(t, "pause", harness.Container(t, node)) }, true},
		{"a node loses its network", func(t *testing.T) { disconnect(t, node) }, true},
		{"the cluster is stopped", func(t *testing.T) { c.Must(t, "stop") }, true},
		{"everything is killed at once", func(t *testing.T) { s.killEverything(t) }, true},
		{"the end of etcd's log is torn", func(t *testing.T) { c.Must(t, "stop"); tearLog(t, state(c).Etcd()) }, true},
	} {
		ok := t.Run(injury.name, func(t *testing.T) {
			begun := time.Now()
			injury.do(t)
			if injury.start {
				c.Start(t)
			}
			s.wantWhole(t)
			t.Logf("whole after %s", time.Since(begun).Round(10*time.Millisecond))
		})
		if !ok {
			break // the next injuries would be those of a cluster that is broken already
		}
	}
	t.Logf("the longest time without a confirmed write: %s", w.ends(t, c.Client(t)).Round(time.Millisecond))
	if !t.Failed() {
		t.Run("etcd's log is damaged", s.testDamagedLog)
	}
}

// survivor is what has to be there after each injury.
type survivor struct {
	*harness.Cluster
	n     *harness.Namespace
	nodes []string
	uid   map[string]string // of the pods that have claims
}

func newSurvivor(t *testing.T, c *harness.Cluster) *survivor {
	t.Helper()
	s := &survivor{Cluster: c, n: keptNamespace(t, c, "survival"), nodes: c.Nodes(t), uid: map[string]string{}}
	deployment(t, s.n, "web", 3)
	s.n.Service(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	})
	for _, node := range s.nodes {
		claim(t, s.n, "data-"+node, "")
		keeper := withClaim(s.n, "keeper-"+node, "data-"+node)
		keeper.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node} // it is the scheduler that binds claims
		pod := s.n.Create(t, keeper)[0]
		write(t, s.n, pod.Name, "written on "+node)
		s.n.Create(t, harness.On(node, s.n.Pod("client-"+node, harness.Testpod, "serve")))
		s.uid[pod.Name] = string(pod.UID)
	}
	return s
}

// wantWhole waits until the cluster is as it was, and fails if it does not become that.
func (s *survivor) wantWhole(t *testing.T) {
	t.Helper()
	readyNodes(t, s.Cluster, len(s.nodes))
	available(t, s.n, "web", 3)
	for _, node := range s.nodes {
		harness.Until(t, time.Minute, "the claim on "+node, func() error { return s.keeps(t, node) })
		harness.Until(t, time.Minute, "the Service's name on "+node, func() error {
			r := s.Bonsai(t, "kubectl", "--", "-n", s.n.Namespace, "exec", "client-"+node, "--", "testpod", "fetch", "-n", "3", "http://web.survival/")
			if r.Code != 0 {
				return errors.New(r.Stderr)
			}
			return nil
		})
	}
	harness.Until(t, time.Minute, "status to find nothing that is wrong now", func() error {
		if got, code := s.Status(t); code != 0 {
			return fmt.Errorf("it exits with %d: %+v", code, got.Problems)
		}
		return nil
	})
}

// keeps checks that the pod with the claim is still the same one, and has what was written.
func (s *survivor) keeps(t *testing.T, node string) error {
	pod, err := s.n.Client.CoreV1().Pods(s.n.Namespace).Get(t.Context(), "keeper-"+node, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if string(pod.UID) != s.uid[pod.Name] {
		return fmt.Errorf("pod %s is another one", pod.Name)
	}
	r := s.Bonsai(t, "kubectl", "--", "-n", s.n.Namespace, "exec", pod.Name, "--", "cat", "/data/file")
	if want := "written on " + node; r.Code != 0 || strings.TrimSpace(r.Stdout) != want {
		return fmt.Errorf("the claim has %q, want %q: %s", r.Stdout, want, r.Stderr)
	}
	return nil
}

// killEverything is what a power failure does to the processes.
func (s *survivor) killEverything(t *testing.T) {
	t.Helper()
	kill(t, guardianPID(t, s.Cluster)) // first, or it would act
	kill(t, daemonPID(t, s.Cluster))
	args := []string{"kill"}
	for _, node := range s.nodes {
		args = append(args, harness.Container(t, node))
	}
	harness.Docker(t, args...)
}

// testDamagedLog: what cannot be read is named, and the last checkpoint leads out of it.
func (s *survivor) testDamagedLog(t *testing.T) {
	s.Must(t, "checkpoint", "save", "whole")
	for name, damage := range map[string]func(data []byte, behind int){"a record": damageRecord, "a length": damageLength} {
		t.Run(name, func(t *testing.T) {
			s.Must(t, "stop")
			file := lastLog(t, state(s.Cluster).Etcd())
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			damage(data, logEnd(data)/2)
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			r := s.Bonsai(t, "start")
			wantCode(t, r, code(fault.ControlPlane))
			if !strings.Contains(r.Stderr, "checkpoint restore whole") {
				t.Errorf("a start with a damaged log does not advise to restore the last checkpoint:\n%s", r.Stderr)
			}
			if limit := harness.Scale(15 * time.Second); r.Took > limit {
				t.Errorf("it took %s, want at most %s", r.Took, limit)
			}
			s.Must(t, "checkpoint", "restore", "whole")
			s.wantWhole(t)
		})
	}
}

// tearLog leaves the beginning of one more record in etcd's log, as a power failure in the middle of a write does: of a record
// that was never confirmed, the disk has some sectors.
func tearLog(t *testing.T, etcd string) {
	t.Helper()
	const record, sector = 1200, 512
	file := lastLog(t, etcd)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	end := logEnd(data)
	binary.LittleEndian.PutUint64(data[end:], record)
	written := data[end+8 : (end+8)/sector*sector+sector]
	copy(data[end+8:], bytes.Repeat([]byte{0xaa}, len(written)))
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// logEnd is where the records of a log end.
func logEnd(data []byte) (end int) {
	for {
		next := nextRecord(data, end)
		if next == end {
			return end
		}
		end = next
	}
}

// nextRecord is where the record ends that begins at a place, which is that place behind the last one. Each record has its length
// before it, in whose first byte is how much it is padded.
func nextRecord(data []byte, at int) int {
	if at+8 > len(data) {
		return at
	}
	length := binary.LittleEndian.Uint64(data[at:])
	if length == 0 {
		return at
	}
	padding := 0
	if length>>63 == 1 {
		padding = int(length >> 56 & 7)
	}
	return at + 8 + int(length&(1<<56-1)) + padding
}

// damageRecord changes what is in the first record of an object that ends behind a place, and not its length, so that its checksum
// is wrong.
func damageRecord(data []byte, behind int) {
	const ofAnObject = 200 // bytes at least; those of etcd itself are shorter
	begin, end := 0, nextRecord(data, 0)
	for end <= behind || end-begin < ofAnObject {
		begin, end = end, nextRecord(data, end)
	}
	for i := (begin + 8 + end) / 2; i < end-8; i++ {
		data[i] ^= 0x55
	}
}

// damageLength makes the first record that ends behind a place longer than the file: etcd takes it for the last one, which was
// not written whole.
func damageLength(data []byte, behind int) {
	begin, end := 0, nextRecord(data, 0)
	for end <= behind {
		begin, end = end, nextRecord(data, end)
	}
	const highByte = 5 // of the length, which has seven
	data[begin+highByte] = 1
}

// lastLog is the file of etcd's write-ahead log that is written to.
func lastLog(t *testing.T, etcd string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(etcd, "member", "wal", "*.wal"))
	if err != nil || len(files) == 0 {
		t.Fatalf("etcd has the logs %v, %v", files, err)
	}
	return slices.Max(files)
}

// guardianPID finds the process that restarts the control plane.
func guardianPID(t *testing.T, c *harness.Cluster) int {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range processes {
		data, _ := os.ReadFile(file) // processes end
		args := strings.Split(string(bytes.TrimRight(data, "\x00")), "\x00")
		if filepath.Base(args[0]) == "guardian" && slices.Contains(args, c.Name) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("cluster %s has no guardian", c.Name)
	panic("unreachable")
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill process %d: %v", pid, err)
	}
}

func killComponent(t *testing.T, c *harness.Cluster, node, name string) {
	t.Helper()
	was := component(t, c, node, name)
	harness.InNode(t, node, "kill", "-9", strconv.Itoa(was.PID))
	harness.Until(t, 30*time.Second, "another "+name, func() error {
		if is := component(t, c, node, name); is.PID == was.PID || is.Phase != cluster.PhaseRunning {
			return fmt.Errorf("it is %+v", is)
		}
		return nil
	})
}

// killFirstProcess kills what the container consists of, from outside: in a container process 1 cannot be killed.
func killFirstProcess(t *testing.T, node string) {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(harness.Docker(t, "inspect", harness.Container(t, node), "--format", "{{.State.Pid}}")))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Skipf("killing process %d of the engine needs root, and an engine on this machine: %v", pid, err)
	}
}

func disconnect(t *testing.T, node string) {
	t.Helper()
	container := harness.Container(t, node)
	network := strings.TrimSpace(harness.Docker(t, "inspect", container, "--format", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}"))
	harness.Docker(t, "network", "disconnect", "-f", network, container)
}
