package bonsaitest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// envFake makes this test's program act as bonsai, with clusters that are folders of the one that it names.
const envFake = "FAKE_BONSAI"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envFake); dir != "" {
		os.Exit(fake(dir, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// fake is bonsai as far as the package uses it. FAKE_MOOD is how a start ends.
func fake(dir string, args []string) int {
	calls, err := os.OpenFile(filepath.Join(dir, "calls"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(calls, strings.Join(args, " "))
	_ = calls.Close()
	name := args[slices.Index(args, "-p")+1]
	cluster := filepath.Join(dir, name)
	kubeconfig := filepath.Join(cluster, "kubeconfig")
	switch args[0] {
	case "start":
		fmt.Println(`{"kind":"started","step":"pki","title":"Certificates"}`)
		switch os.Getenv("FAKE_MOOD") {
		case "fail":
			fmt.Println(`{"kind":"failed","step":"start","problem":{"kind":"ControlPlane","summary":"start the control plane","cause":"the disk is full","hint":"make room","evidence":["E1 no space"]}}`)
			return 33
		case "usage":
			fmt.Fprintln(os.Stderr, `{"kind":"Usage","summary":"component \"x\" is not one of etcd","hint":"for example"}`)
			return 2
		case "hang":
			c := make(chan os.Signal, 1)
			signal.Notify(c, os.Interrupt)
			<-c
			return 130
		case "old":
			fmt.Println(`{"kind":"done","step":"start"}`)
			return 0
		}
		config := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{"name":"c","cluster":{"server":%q}}],"users":[{"name":"c","user":{}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"c"}}]}`, os.Getenv("FAKE_SERVER"))
		if err := os.Mkdir(cluster, 0o700); err != nil {
			panic(err)
		}
		if err := os.WriteFile(kubeconfig, []byte(config), 0o600); err != nil {
			panic(err)
		}
		line, _ := json.Marshal(map[string]any{"kind": "done", "step": "start", "cluster": map[string]any{
			"name": name, "server": os.Getenv("FAKE_SERVER"), "kubeconfig": kubeconfig, "nodes": []string{},
			"timeline": map[string]any{"operation": "start", "steps": []any{map[string]any{"step": "etcd", "title": "etcd", "beginNanos": 1, "endNanos": 2}}},
		}})
		fmt.Println(string(line))
	case "delete":
		if _, err := os.Stat(cluster); err != nil {
			return exitNotFound
		}
		if os.Getenv("FAKE_MOOD") == "stuck" {
			fmt.Fprintln(os.Stderr, "error: another command works on it")
			return 36
		}
		return len(fmt.Sprint(os.RemoveAll(cluster))) - len("<nil>")
	case "bundle":
		if err := os.WriteFile(args[slices.Index(args, "-o")+1], []byte("bundle"), 0o600); err != nil {
			panic(err)
		}
	default:
		fmt.Println("this is the answer of " + args[0])
	}
	return 0
}

// world is where a test's clusters are.
type world struct{ dir string }

// newWorld makes this program the bonsai of the test.
func newWorld(t *testing.T, mood string) world {
	t.Helper()
	w := world{t.TempDir()}
	for name, value := range map[string]string{
		envFake: w.dir, "FAKE_MOOD": mood, "FAKE_SERVER": "http://127.0.0.1:1", EnvExecutable: os.Args[0], EnvKeep: "", EnvArtifacts: "",
	} {
		t.Setenv(name, value)
	}
	return w
}

// calls are the command lines so far.
func (w world) calls(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, "calls"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// clusters are those that exist.
func (w world) clusters(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "*", "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// trial is a test that may fail without failing this one.
type trial struct {
	testing.TB
	failed  bool
	said    strings.Builder
	cleanup []func()
}

// try runs f as a test, with its cleanups.
func try(t *testing.T, f func(testing.TB)) *trial {
	t.Helper()
	tr := &trial{TB: t}
	done := make(chan struct{})
	go func() { // which Fatal ends
		defer close(done)
		f(tr)
	}()
	<-done
	for _, c := range slices.Backward(tr.cleanup) {
		c()
	}
	return tr
}

func (tr *trial) Helper()                        {}
func (tr *trial) Failed() bool                   { return tr.failed }
func (tr *trial) Cleanup(f func())               { tr.cleanup = append(tr.cleanup, f) }
func (tr *trial) Log(args ...any)                { fmt.Fprintln(&tr.said, args...) }
func (tr *trial) Logf(format string, a ...any)   { tr.Log(fmt.Sprintf(format, a...)) }
func (tr *trial) Error(args ...any)              { tr.failed = true; tr.Log(args...) }
func (tr *trial) Errorf(format string, a ...any) { tr.Error(fmt.Sprintf(format, a...)) }
func (tr *trial) Fatal(args ...any) {
	tr.Error(args...)
	endGoroutine()
}
