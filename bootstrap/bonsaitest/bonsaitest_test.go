package bonsaitest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func endGoroutine() { runtime.Goexit() }

func TestAClusterEndsWithItsTest(t *testing.T) {
	w := newWorld(t, "")
	var name string
	t.Run("one", func(t *testing.T) {
		c := Start(t)
		if name = c.Name; len(w.clusters(t)) != 1 {
			t.Errorf("clusters during the test: %v, want one", w.clusters(t))
		}
		first, second := c.Config(), c.Config()
		if first.Host != "http://127.0.0.1:1" || first == second {
			t.Errorf("got the config %v, want the server's, a new one each time", c.Config())
		}
		if steps := c.Steps(); len(steps) != 1 || steps[0].Step != "etcd" {
			t.Errorf("steps are %v, want those that bonsai reports", steps)
		}
	})
	if left := w.clusters(t); len(left) > 0 {
		t.Errorf("the test left %v", left)
	}
	want := []string{
		fmt.Sprintf("start -p %s -o json --own-kubeconfig --nodes 0 --components etcd --components apiserver --while-pid %d", name, os.Getpid()),
		"delete -p " + name,
	}
	if got := w.calls(t); !slices.Equal(got, want) {
		t.Errorf("bonsai was called with\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestOptionsBecomeFlags(t *testing.T) {
	for _, tc := range []struct {
		options []Option
		want    string
	}{
		{[]Option{Nodes(2)}, "--nodes 2"},
		{[]Option{ControlPlane()}, "--nodes 0"},
		{[]Option{Nodes(2), Components("etcd", "apiserver", "controller-manager")}, "--nodes 2 --components etcd --components apiserver --components controller-manager"},
		{[]Option{ControlPlane(), KubernetesVersion("1.36"), FeatureGate("A", true), APIServerFlag("v", "3")},
			"--nodes 0 --kubernetes-version 1.36 --feature-gates A=true --extra-config apiserver.v=3"},
	} {
		got := strings.Join(newSettings(tc.options).start("x", 0), " ")
		if want := "start -p x -o json --own-kubeconfig " + tc.want; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAStartThatFailsSaysWhy(t *testing.T) {
	for mood, want := range map[string][]string{
		"fail":  {"start the control plane: the disk is full", "| E1 no space", "hint: make room"},
		"usage": {`component "x" is not one of etcd`, "hint: for example"},
		"old":   {"it is older than this package"},
	} {
		w := newWorld(t, mood)
		tr := try(t, func(t testing.TB) { Start(t); t.Log("it goes on") })
		if said := tr.said.String(); !tr.failed || strings.Contains(said, "goes on") || slices.ContainsFunc(want, func(s string) bool { return !strings.Contains(said, s) }) {
			t.Errorf("%s: failed is %t, and it says\n%s\nwant %q", mood, tr.failed, said, want)
		}
		if left := w.clusters(t); len(left) > 0 {
			t.Errorf("%s: it left %v", mood, left)
		}
	}
}

func TestAStartHasALimit(t *testing.T) {
	newWorld(t, "hang")
	_, err := New(t.Context(), Limit(200*time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "not ready after 200ms") {
		t.Errorf("got the error %v, want that of the limit", err)
	}
}

func TestAFailedTestShowsItsCluster(t *testing.T) {
	w := newWorld(t, "")
	failing := func(t testing.TB) { Start(t); t.Error("wrong") }
	said := try(t, failing).said.String()
	for _, want := range []string{"bonsai status\nthis is the answer of status", "bonsai logs kube-apiserver --tail 20", EnvArtifacts} {
		if !strings.Contains(said, want) {
			t.Errorf("it says\n%s\nwant %q", said, want)
		}
	}
	if left := w.clusters(t); len(left) > 0 {
		t.Errorf("the failed test left %v", left)
	}
	dir := filepath.Join(t.TempDir(), "new")
	t.Setenv(EnvArtifacts, dir)
	if said := try(t, failing).said.String(); !strings.Contains(said, "bonsai bundle open "+dir) {
		t.Errorf("it says\n%s\nwant where the bundle is", said)
	}
	if bundles, _ := filepath.Glob(filepath.Join(dir, "*.tar.gz")); len(bundles) != 1 {
		t.Errorf("there are the bundles %v, want one", bundles)
	}
}

func TestAClusterIsKeptOnRequest(t *testing.T) {
	w := newWorld(t, "")
	t.Setenv(EnvKeep, "1")
	try(t, func(t testing.TB) { Start(t) })
	if left := w.clusters(t); len(left) > 0 {
		t.Errorf("a test that passed left %v", left)
	}
	tr := try(t, func(t testing.TB) { Start(t); t.Error("wrong") })
	if len(w.clusters(t)) != 1 || !strings.Contains(tr.said.String(), "delete it with") {
		t.Errorf("clusters are %v, and it says\n%s\nwant one, and how to delete it", w.clusters(t), tr.said.String())
	}
	if calls := strings.Join(w.calls(t), "\n"); strings.Contains(calls, "--while-pid") {
		t.Errorf("a cluster that is kept would end with this process:\n%s", calls)
	}
}

func TestADeleteThatFailsFailsTheTest(t *testing.T) {
	newWorld(t, "stuck")
	if tr := try(t, func(t testing.TB) { Start(t) }); !tr.failed || !strings.Contains(tr.said.String(), "another command works on it") {
		t.Errorf("failed is %t, and it says\n%s", tr.failed, tr.said.String())
	}
}

func TestAClusterThatIsGoneIsDeleted(t *testing.T) {
	newWorld(t, "")
	c, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Delete(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// tests is a run of tests for Shared.Main.
type tests func() int

func (f tests) Run() int { return f() }

func TestTestsShareACluster(t *testing.T) {
	w := newWorld(t, "")
	var shared Shared
	code := shared.Main(tests(func() int {
		names := make([]string, 8)
		var running sync.WaitGroup
		for i := range names {
			running.Go(func() { try(t, func(t testing.TB) { names[i] = shared.Cluster(t).Name }) })
		}
		running.Wait()
		if len(slices.Compact(names)) != 1 {
			t.Errorf("tests have the clusters %v, want one", names)
		}
		if len(w.clusters(t)) != 1 {
			t.Errorf("clusters are %v, want one after the tests that share it", w.clusters(t))
		}
		return 3
	}), Nodes(2))
	if code != 3 {
		t.Errorf("the code is %d, want that of the tests", code)
	}
	if calls := w.calls(t); len(calls) != 2 || !strings.Contains(calls[0], "--nodes 2") || len(w.clusters(t)) > 0 {
		t.Errorf("clusters %v are left, calls were %q", w.clusters(t), calls)
	}
}

func TestASharedClusterIsStartedOnlyForWhoAsks(t *testing.T) {
	w := newWorld(t, "")
	var shared Shared
	if code := shared.Main(tests(func() int { return 0 })); code != 0 || len(w.calls(t)) > 0 {
		t.Errorf("the code is %d, calls were %q", code, w.calls(t))
	}
}

func TestAllTestsFailWithoutTheSharedCluster(t *testing.T) {
	w := newWorld(t, "fail")
	var shared Shared
	for range 2 {
		if tr := try(t, func(t testing.TB) { shared.Cluster(t) }); !tr.failed || !strings.Contains(tr.said.String(), "the disk is full") {
			t.Errorf("failed is %t, and it says\n%s", tr.failed, tr.said.String())
		}
	}
	if calls := w.calls(t); len(calls) != 1 {
		t.Errorf("calls were %q, want one try", calls)
	}
}

func TestANamespaceEndsWithItsTest(t *testing.T) {
	newWorld(t, "")
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+r.URL.Path)
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"metadata":{"name":"made-1"}}`)
		}
	}))
	defer server.Close()
	t.Setenv("FAKE_SERVER", server.URL)
	tr := try(t, func(t testing.TB) {
		if name := Start(t).Namespace(t); name != "made-1" {
			t.Errorf("the namespace is %q, want what the API server called it", name)
		}
	})
	if tr.failed {
		t.Error(tr.said.String())
	}
	if want := []string{"POST /api/v1/namespaces", "DELETE /api/v1/namespaces/made-1"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestVerbsSayWhatWentWrong(t *testing.T) {
	newWorld(t, "")
	c, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := c.Bonsai(t.Context(), "image", "list"); err != nil || out != "this is the answer of image\n" {
		t.Errorf("got %q, %v", out, err)
	}
	t.Setenv("FAKE_MOOD", "stuck")
	if _, err := c.Bonsai(t.Context(), "delete"); err == nil || !strings.Contains(err.Error(), "another command works on it") {
		t.Errorf("got the error %v, want what the command said", err)
	}
}

func TestNamesAreUniqueAndPossible(t *testing.T) {
	possible := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$`)
	for program, begins := range map[string]string{
		"cache.test": "cache-", "Some_Very_Long_Package.test.exe": "some-very-long-p-", "": "test-", "__.test": "test-", "ä.test": "test-",
	} {
		a, b := newName(program), newName(program)
		if a == b || !possible.MatchString(a) || !strings.HasPrefix(a, begins) {
			t.Errorf("%q: got %q and %q, want two names that begin with %q", program, a, b, begins)
		}
	}
}

// executable writes a file that can be run.
func executable(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhereTheExecutableIsFound(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	module := filepath.Join(dir, "module")
	named, inPath := executable(t, filepath.Join(dir, "named/b")), executable(t, filepath.Join(dir, "path/bonsai"))
	beside := executable(t, filepath.Join(module, "bin/bonsai"))
	inPackage := filepath.Join(module, "internal", "controller")
	if err := os.MkdirAll(inPackage, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(module, "go.mod"), []byte("module m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(inPackage)
	t.Setenv("PATH", filepath.Dir(inPath))
	t.Setenv(EnvExecutable, named)
	find := func(option, want string) {
		t.Helper()
		got, err := findExecutable(context.Background(), option)
		if err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	find(inPath, inPath)
	find("", named)
	t.Setenv(EnvExecutable, "")
	find("", beside)
	if err := os.Remove(beside); err != nil {
		t.Fatal(err)
	}
	find("", inPath)
	t.Setenv("PATH", module)
	if _, err := findExecutable(context.Background(), ""); err == nil || !strings.Contains(err.Error(), EnvExecutable) {
		t.Errorf("got the error %v, want how to name it", err)
	}
	t.Setenv(EnvExecutable, filepath.Join(dir, "missing"))
	if _, err := findExecutable(context.Background(), ""); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("got the error %v, want that the named one is missing: another version must not stand in for it", err)
	}
}

func TestToolsOfGoMod(t *testing.T) {
	for text, want := range map[string]bool{
		"module m\n\ntool bonsai/cmd/bonsai\n":                                true,
		"module m\n\ntool (\n\texample.com/x\n\tbonsai/cmd/bonsai // it\n)\n": true,
		"module m\n\n// tool bonsai/cmd/bonsai\n":                             false,
		"module m\n\nrequire (\n\texample.com/bonsai v1.0.0\n)\n":             false,
		"module m\n\ntool example.com/x\n":                                    false,
	} {
		file := filepath.Join(t.TempDir(), "go.mod")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := hasTool(file); got != want {
			t.Errorf("%q: got %t, want %t", text, got, want)
		}
	}
}
