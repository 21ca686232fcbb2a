package tui

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// shopPod puts the cursor on a pod.
func shopPod(t *testing.T, s *fakeSession, name string) *rig {
	t.Helper()
	r := newRig(t, s, 120, 30)
	r.keys("3", "/", `"`+name+`"`, "enter")
	r.shows(name)
	return r
}

func TestShell(t *testing.T) {
	s := shop()
	r := shopPod(t, s, "web-9cc6f-lm2")
	s.containers = []kube.ContainerDetail{{Name: "setup", Init: true, State: kube.ContainerState{Phase: kube.ContainerTerminated}}, {Name: "web", Image: "web:1", State: kube.ContainerState{Phase: kube.ContainerRunning}}}
	r.keys("s")
	r.until("the shell", func(string) bool { return len(s.executed) == 1 })
	if e := s.executed[0]; e.Namespace != "shop" || e.Pod != "web-9cc6f-lm2" || e.Container != "web" || e.Command != nil {
		t.Errorf("ran %+v", e)
	}
	if out := r.lent.String(); !strings.Contains(out, "a shell in shop/web-9cc6f-lm2 web") || !strings.Contains(out, "hello from web-9cc6f-lm2") {
		t.Errorf("the terminal has %q", out)
	}
	if r.u.deaf.IsZero() {
		t.Error("keys that come late are not dropped")
	}
	r.keys("L")
	r.shows("bonsai kubectl -p dev -- exec web-9cc6f-lm2 -n shop -it -c web -- sh")
	// Of several containers one is chosen; those that do not run say so.
	s.containers = append(s.containers, kube.ContainerDetail{Name: "proxy", Image: "proxy:2", State: kube.ContainerState{Phase: kube.ContainerWaiting, Reason: "CrashLoopBackOff"}})
	r.keys("esc", "s")
	r.shows("shell in", "web:1", "waiting: CrashLoopBackOff")
	r.keys(`"web"`, "enter")
	r.until("the shell", func(string) bool { return len(s.executed) == 2 })
	r.keys("2")
	r.shows("dev-1")
	r.keys("s")
	r.until("the shell", func(string) bool { return len(s.executed) == 3 })
	if e := s.executed[2]; e.Node != "dev-1" || e.Pod != "" {
		t.Errorf("ran %+v", e)
	}
}

func TestShellThatCannotBe(t *testing.T) {
	s := shop()
	r := shopPod(t, s, "web-9cc6f-lm2")
	s.fail = fault.New(fault.Internal, "open a shell in shop/web-9cc6f-lm2", errors.New("its image has no shell")).Advise("", cluster.Kubectl("debug"))
	r.keys("s")
	r.shows("its image has no shell", "bonsai kubectl -p dev -- debug")
}

// TestKeysGoBack: a read that is in progress when another program has ended does not take the next key.
func TestKeysGoBack(t *testing.T) {
	in, keys, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer keys.Close()
	b, err := borrow(in)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	began := make(chan struct{})
	go func() {
		buf := make([]byte, 10)
		n, err := b.Read(buf)
		if n != 1 || err != nil {
			read <- fmt.Errorf("first read: %d, %w", n, err)
			return
		}
		close(began)
		_, err = b.Read(buf)
		read <- err
	}()
	if _, err := keys.WriteString("a"); err != nil {
		t.Fatal(err)
	}
	<-began
	b.giveBack()
	select {
	case err := <-read:
		if !errors.Is(err, io.EOF) {
			t.Errorf("the read ended with %v", err)
		}
	case <-time.After(waitLimit):
		t.Fatal("the read goes on")
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a later read: %v", err)
	}
	if _, err := keys.WriteString("b"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1)
	if _, err := in.Read(buf); err != nil || buf[0] != 'b' {
		t.Errorf("the next key is %q, %v", buf, err)
	}
}

func TestNewestSizeCounts(t *testing.T) {
	c := make(chan kube.TerminalSize, 1)
	for w := range 5 {
		newest(c, kube.TerminalSize{Width: w})
	}
	if got := <-c; got.Width != 4 {
		t.Errorf("got %v", got)
	}
}

const cartYAML = `apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    deployment.kubernetes.io/revision: "1"
  generation: 3
  name: cart
  resourceVersion: "100"
spec:
  replicas: 1
status:
  conditions:
  - type: Available
  replicas: 1
`

// editor makes a rig whose editor is a shell script, and puts the cursor on the Deployment cart. What the editor saw is
// in the file that is returned.
func editor(t *testing.T, s *fakeSession, script string) (*rig, func() string) {
	t.Helper()
	dir := t.TempDir()
	saw := filepath.Join(dir, "saw")
	program := filepath.Join(dir, "editor with space")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ncp \"$2\" "+saw+"\nls -l \"$2\" | cut -c1-10 >>"+saw+".mode\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	if s.yaml["shop/cart"] == "" {
		s.yaml["shop/cart"] = cartYAML
	}
	r := newRig(t, s, 120, 30, func(o *Options) { o.Editor = "'" + program + "' --wait" })
	r.command("deploy")
	r.shows("cart")
	t.Cleanup(func() {
		if left, _ := filepath.Glob(filepath.Join(dir, "bonsai-edit-*")); len(left) > 0 {
			t.Errorf("files are left: %v", left)
		}
		mode, _ := os.ReadFile(saw + ".mode")
		for m := range strings.FieldsSeq(string(mode)) {
			if m != "-rw-------" {
				t.Errorf("others may read the text: %s", m)
			}
		}
	})
	return r, func() string {
		data, err := os.ReadFile(saw)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

func TestEditAndUndo(t *testing.T) {
	s := shop()
	s.replace = func(_ kube.Ref, yaml string) error {
		s.yaml["shop/cart"] = strings.Replace(yaml, `"100"`, `"101"`, 1)
		return nil
	}
	r, saw := editor(t, s, `sed -i 's/replicas: 1/replicas: 3/' "$2"`)
	s.lockedReplace()
	r.keys("e")
	r.shows("changed deployment shop/cart")
	if saw() != cartYAML {
		t.Errorf("the editor saw %q", saw())
	}
	if len(s.replaced) != 1 || !strings.Contains(s.replaced[0], "replicas: 3") {
		t.Errorf("replaced %q", s.replaced)
	}
	r.keys("L")
	r.shows("✓", "bonsai kubectl -p dev -- edit deployments.apps cart -n shop")
	r.keys("esc", "ctrl+k", `"undo the edit"`, "enter")
	r.shows("deployment shop/cart is restored")
	if got, want := s.replaced[1], strings.Replace(cartYAML, `"100"`, `"101"`, 1); got != want {
		t.Errorf("undoing replaced by %q", got)
	}
	r.keys("ctrl+k", `"undo the edit"`)
	r.until("no more to undo", func(s string) bool { return !strings.Contains(s, "undo the edit of") })
}

func TestEditWithoutChange(t *testing.T) {
	s := shop()
	r, _ := editor(t, s, "")
	r.keys("e")
	r.shows("nothing was changed")
	if len(s.replaced) > 0 || len(r.u.actions.entries) > 0 {
		t.Error("something was done")
	}
}

func TestEditThatIsRefusedIsKept(t *testing.T) {
	s := shop()
	s.replace = func(kube.Ref, string) error {
		return fault.New(fault.Usage, "change deployment cart", errors.New("spec.replicas: Invalid value: -1"))
	}
	r, saw := editor(t, s, `sed -i 's/replicas: 1/replicas: -1/' "$2"`)
	r.keys("e")
	r.shows("the change was rejected", "spec.replicas: Invalid value: -1", "Edit again")
	r.keys("esc")
	r.keys("e") // later: the text is there, below the reason
	r.shows("cancelled; nothing was changed")
	if text := saw(); !strings.Contains(text, "# spec.replicas: Invalid value: -1\n"+endOfTrouble+"\napiVersion") || !strings.Contains(text, "replicas: -1") {
		t.Errorf("the editor saw %q", text)
	}
	r.keys("e") // cancelled: it starts over
	r.shows("the change was rejected")
	if saw() != cartYAML {
		t.Errorf("the editor saw %q", saw())
	}
	r.keys("enter")
	r.shows("cancelled")
}

func TestEditWithConflict(t *testing.T) {
	s := shop()
	first := true
	s.replace = func(_ kube.Ref, yaml string) error {
		if first {
			first = false
			s.yaml["shop/cart"] = strings.NewReplacer(`"100"`, `"222"`, "spec:\n", "spec:\n  paused: true\n").Replace(cartYAML)
			return fault.New(fault.Conflict, "change deployment cart", errors.New("the object has been modified"))
		}
		return nil
	}
	r, saw := editor(t, s, `sed -i 's/replicas: 1/replicas: 3/; s/kept: 1/kept: 2/; $a\# again' "$2"`)
	s.lockedReplace()
	r.keys("e")
	r.shows("the change was rejected", "changed by somebody else in the meantime", "+   paused: true")
	r.keys("enter")
	r.shows("changed deployment shop/cart")
	if text := saw(); !strings.Contains(text, "# +   paused: true") {
		t.Errorf("the editor saw %q", text)
	}
	if got := s.replaced[1]; !strings.Contains(got, `resourceVersion: "222"`) || !strings.Contains(got, "replicas: 3") || strings.Contains(got, endOfTrouble) {
		t.Errorf("replaced by %q", got)
	}
}

func TestStatusIsNotAConflict(t *testing.T) {
	s := shop()
	tries := 0
	s.replace = func(_ kube.Ref, yaml string) error {
		if tries++; tries < 3 {
			s.yaml["shop/cart"] = strings.NewReplacer(`"100"`, fmt.Sprintf(`"%d"`, 100+tries), "generation: 3", "generation: 4", "status:\n", "status:\n  observed: 4\n").Replace(cartYAML)
			return fault.New(fault.Conflict, "change deployment cart", errors.New("the object has been modified"))
		}
		return nil
	}
	r, _ := editor(t, s, `sed -i 's/replicas: 1/replicas: 3/' "$2"`)
	s.lockedReplace()
	r.keys("e")
	r.shows("changed deployment shop/cart")
	if got := s.replaced[2]; !strings.Contains(got, `resourceVersion: "102"`) {
		t.Errorf("replaced by %q", got)
	}
}

func TestEditorThatFails(t *testing.T) {
	s := shop()
	r, _ := editor(t, s, "exit 3")
	r.keys("e")
	r.shows("exit status 3")
	if len(s.replaced) > 0 {
		t.Error("something was replaced")
	}
}

func TestReadOnlyEditsNothing(t *testing.T) {
	r := newRig(t, shop(), 120, 30, func(o *Options) { o.ReadOnly = true })
	r.keys("3")
	r.shows("cart-7d9f4-x2k")
	r.keys("e")
	r.shows("--readonly")
}
