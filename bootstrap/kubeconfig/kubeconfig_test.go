package kubeconfig

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/fault"
)

func entry(name string) Entry {
	return Entry{Name: name, Server: "https://127.0.0.1:6443", CA: []byte("ca " + name), Cert: []byte("cert"), Key: []byte("key")}
}

// foreign is a file as people have it: other tools' entries, fields that we know nothing of, comments, odd values.
const foreign = `# work and home
apiVersion: v1
kind: Config
preferences: {colors: true}
current-context: work
clusters:
    - name: work
      cluster:
        server: https://work.example:6443
        tls-server-name: "0123"
        some-future-field: {a: [1, 0x10, 1.50, yes, ~]}
contexts:
    - context: {cluster: work, user: me, namespace: "007"}
      name: work # the office
    - name: bonsai
      context: {cluster: elsewhere, user: other, namespace: mine}
users:
    - name: me
      user:
        exec:
          apiVersion: client.authentication.k8s.io/v1
          command: aws
          env: null
          args: ["eks", "get-token"]
extensions:
    - name: tool
      extension: {anything: 2026-01-02}
`

func setup(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "dir", "config")
	t.Setenv("KUBECONFIG", path)
	if content != "" {
		write(t, path, content)
	}
	return path
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func decode(t *testing.T, text string) (v map[string]any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return v
}

func merge(t *testing.T, e Entry, want string) {
	t.Helper()
	if m, err := Merge(e); err != nil || m.Path != want {
		t.Fatalf("Merge: %+v, %v; want it in %s", m, err, want)
	}
	if got := Inspect(e); got.State != Configured {
		t.Fatalf("after Merge: %v", got)
	}
}

func remove(t *testing.T, name string, want bool) {
	t.Helper()
	if removed, err := Remove(entry(name).CA); err != nil || removed != want {
		t.Fatalf("Remove: %v, %v; want %v", removed, err, want)
	}
}

func TestMergeIntoNothing(t *testing.T) {
	path := setup(t, "")
	e := entry("dev")
	if got := Inspect(e); got.State != Missing {
		t.Errorf("before: %v", got)
	}
	merge(t, e, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info.Mode(), err)
	}
	if got, want := decode(t, read(t, path)), decode(t, string(e.File())); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	v := decode(t, read(t, path))
	if v["current-context"] != "dev" || v["kind"] != "Config" || v["apiVersion"] != "v1" {
		t.Errorf("got %v", v)
	}
	cluster := v["clusters"].([]any)[0].(map[string]any)["cluster"].(map[string]any)
	if cluster["certificate-authority-data"] != base64.StdEncoding.EncodeToString(e.CA) {
		t.Errorf("authority: %v", cluster)
	}
	remove(t, "dev", true)
	if v := decode(t, read(t, path)); len(v["clusters"].([]any))+len(v["users"].([]any))+len(v["contexts"].([]any)) != 0 || v["current-context"] != "" {
		t.Errorf("after Remove: %v", v)
	}
	remove(t, "dev", false)
	// And once more into what kubectl writes for empty lists.
	write(t, path, "apiVersion: v1\nkind: Config\nclusters: null\ncontexts: []\nusers:\n")
	merge(t, e, path)
}

func TestEverythingElseSurvives(t *testing.T) {
	path := setup(t, strings.ReplaceAll(foreign, "name: bonsai", "name: other"))
	before := decode(t, read(t, path))
	merge(t, entry("bonsai"), path)
	merge(t, entry("second"), path)
	if v := decode(t, read(t, path)); v["current-context"] != "second" {
		t.Errorf("current context: %v", v["current-context"])
	}
	remove(t, "bonsai", true)
	if v := decode(t, read(t, path)); v["current-context"] != "second" {
		t.Errorf("removing another cluster changed the current context to %v", v["current-context"])
	}
	merge(t, entry("bonsai"), path)
	remove(t, "second", true)
	remove(t, "bonsai", true)
	text := read(t, path)
	after := decode(t, text)
	before["current-context"], after["current-context"] = "", "" // it is tested below
	if !reflect.DeepEqual(before, after) {
		t.Errorf("got  %v\nwant %v", after, before)
	}
	for _, want := range []string{`"0123"`, `"007"`, "0x10", "1.50", "yes", "2026-01-02", "# work and home", "# the office", "env: null"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is gone from\n%s", want, text)
		}
	}
}

func TestCurrentContextComesBack(t *testing.T) {
	path := setup(t, strings.ReplaceAll(foreign, "name: bonsai", "name: other"))
	current := func() any { return decode(t, read(t, path))["current-context"] }
	merge(t, entry("bonsai"), path)
	merge(t, entry("bonsai"), path) // a repair must not take itself for what was there before
	if current() != "bonsai" {
		t.Errorf("after Merge: %v", current())
	}
	remove(t, "bonsai", true)
	if current() != "work" {
		t.Errorf("after Remove: %v", current())
	}
	// Not if the user has chosen otherwise, and not if it is gone.
	merge(t, entry("bonsai"), path)
	write(t, path, strings.Replace(read(t, path), "current-context: bonsai", "current-context: other", 1))
	remove(t, "bonsai", true)
	if current() != "other" {
		t.Errorf("a choice of the user was changed to %v", current())
	}
	merge(t, entry("a"), path)
	merge(t, entry("b"), path)
	remove(t, "a", true)
	remove(t, "b", true)
	if current() != "" {
		t.Errorf("a context that is gone became current: %v", current())
	}
}

func TestForeignContextOfOurNameIsReplaced(t *testing.T) {
	path := setup(t, foreign)
	if got := Inspect(entry("bonsai")); got.State != Misconfigured {
		t.Errorf("before: %v", got)
	}
	merge(t, entry("bonsai"), path)
	if !strings.Contains(read(t, path), "namespace: mine") {
		t.Error("the namespace that the user chose is gone")
	}
	moved := entry("bonsai")
	moved.Server = "https://127.0.0.1:7000"
	if got := Inspect(moved); got.State != Misconfigured {
		t.Errorf("another port: %v", got)
	}
	renewed := entry("bonsai")
	renewed.Cert = []byte("renewed")
	if got := Inspect(renewed); got.State != Misconfigured {
		t.Errorf("another certificate: %v", got)
	}
	merge(t, moved, path)
}

func TestNamesThatYAMLTakesForSomethingElse(t *testing.T) {
	path := setup(t, "")
	for _, name := range []string{"123", "true", "null", "0x1f", "1e3", "no"} {
		merge(t, entry(name), path)
		if got := decode(t, read(t, path))["current-context"]; got != name {
			t.Errorf("%s became %v", name, got)
		}
	}
}

func TestListOfFiles(t *testing.T) {
	dir := t.TempDir()
	missing, first, second := filepath.Join(dir, "missing"), filepath.Join(dir, "first"), filepath.Join(dir, "second")
	write(t, first, "apiVersion: v1\nkind: Config\nclusters: []\n")
	write(t, second, strings.ReplaceAll(foreign, "name: bonsai", "name: dev"))
	t.Setenv("KUBECONFIG", strings.Join([]string{"", missing, first, second, first}, string(filepath.ListSeparator)))
	// An entry is changed where it is; the current context where it was set.
	merge(t, entry("dev"), second)
	// A new one goes into the first file that exists.
	merge(t, entry("new"), first)
	if v := decode(t, read(t, second)); v["current-context"] != "new" {
		t.Errorf("current context: %v", v["current-context"])
	}
	remove(t, "new", true)
	if v := decode(t, read(t, second)); v["current-context"] != "dev" {
		t.Errorf("current context: %v", v["current-context"])
	}
	remove(t, "dev", true)
	if _, err := os.Stat(missing); err == nil {
		t.Error("a missing file was made")
	}
	// If none of them exists, the last is created.
	t.Setenv("KUBECONFIG", missing+string(filepath.ListSeparator)+missing+"2")
	merge(t, entry("dev"), missing+"2")
	// Without the variable it is the home's.
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", dir)
	merge(t, entry("dev"), filepath.Join(dir, ".kube", "config"))
}

func TestLinkAndModeStay(t *testing.T) {
	link := setup(t, "")
	real := filepath.Join(t.TempDir(), "real")
	write(t, real, foreign)
	if err := os.Chmod(real, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	merge(t, entry("dev"), link)
	if target, err := os.Readlink(link); err != nil || target != real {
		t.Errorf("link: %s, %v", target, err)
	}
	if info, _ := os.Stat(real); info.Mode().Perm() != 0o640 {
		t.Errorf("mode %s", info.Mode())
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(real), "real?*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// A link to a file that is not there yet.
	if err := os.Remove(real); err != nil {
		t.Fatal(err)
	}
	merge(t, entry("dev"), link)
	if _, err := os.Stat(real); err != nil {
		t.Error(err)
	}
}

// Two state folders may each have a cluster of one name, and share the kubeconfig.
func TestTheEntryOfAnotherClusterOfTheNameStays(t *testing.T) {
	path := setup(t, foreign)
	ours, theirs := entry("dev"), entry("dev")
	theirs.Server, theirs.CA = "https://127.0.0.1:6444", []byte("another ca")
	displaces := func(e Entry, want string) {
		t.Helper()
		if m, err := Merge(e); err != nil || m.Displaced != want {
			t.Errorf("Merge: %+v, %v; want %q displaced", m, err, want)
		}
	}
	displaces(ours, "")
	displaces(ours, "")
	ours.Server = "https://127.0.0.1:7443"
	displaces(ours, "")
	displaces(theirs, ours.Server)
	remove(t, "dev", false) // ours is no longer there
	if got := Inspect(theirs); got.State != Configured {
		t.Errorf("their entry is %v after ours was removed", got)
	}
	if v := decode(t, read(t, path)); v["current-context"] != "dev" {
		t.Errorf("the current context is %v", v["current-context"])
	}
	for what, ca := range map[string][]byte{"none": nil, "an empty one": {}} {
		if removed, err := Remove(ca); err != nil || removed {
			t.Errorf("a cluster whose CA is %s: %v, %v", what, removed, err)
		}
	}
	if removed, err := Remove(theirs.CA); err != nil || !removed {
		t.Errorf("their own delete: %v, %v", removed, err)
	}
}

func TestBrokenFilesAreLeftAlone(t *testing.T) {
	for what, content := range map[string]string{
		"not YAML": "a: b: c", "a list": "- a", "two documents": "a: 1\n---\nb: 2\n", "clusters as a mapping": "clusters: {a: b}\n", "text": "hello",
	} {
		path := setup(t, content)
		_, mergeErr := Merge(entry("dev"))
		_, removeErr := Remove(entry("dev").CA)
		for _, err := range []error{Check(), mergeErr, removeErr} {
			if fault.KindOf(err) != fault.Kubeconfig || fault.Problem(err).HintText() == "" || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if read(t, path) != content {
			t.Errorf("%s: the file was changed", what)
		}
		if _, err := os.Stat(path + ".lock"); err == nil {
			t.Errorf("%s: the lock is left", what)
		}
	}
}

func TestCheckOfGoodFiles(t *testing.T) {
	path := setup(t, foreign)
	if err := Check(); err != nil {
		t.Error(err)
	}
	t.Setenv("KUBECONFIG", path+".new"+string(os.PathListSeparator)+path)
	if err := Check(); err != nil {
		t.Errorf("a file that is not there yet: %v", err)
	}
}

func TestUnchangedFileIsNotTouched(t *testing.T) {
	path := setup(t, foreign)
	remove(t, "nobody", false)
	if read(t, path) != foreign {
		t.Error("the file was rewritten")
	}
}

func TestJSONIsKeptAsSuch(t *testing.T) {
	path := setup(t, `{"apiVersion":"v1","kind":"Config","clusters":[],"users":[],"contexts":[{"name":"x","context":{}}],"current-context":"x"}`)
	merge(t, entry("dev"), path)
	remove(t, "dev", true)
	if v := decode(t, read(t, path)); v["current-context"] != "x" || len(v["contexts"].([]any)) != 1 {
		t.Errorf("got %v", v)
	}
}

func TestManyAtOnce(t *testing.T) {
	path := setup(t, foreign)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := Merge(entry(fmt.Sprintf("dev-%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := strings.Count(read(t, path), "server: https://127.0.0.1:6443"); n != 8 {
		t.Errorf("%d of 8 entries are there", n)
	}
}

func TestLockOfACrashedProcessIsNamed(t *testing.T) {
	for what, age := range map[string]time.Duration{"new": 0, "old": 3 * time.Hour} {
		path := setup(t, foreign)
		write(t, path+".lock", "")
		var err error
		synctest.Test(t, func(*testing.T) { // waits in no time
			began := time.Now()
			if err := os.Chtimes(path+".lock", began.Add(-age), began.Add(-age)); err != nil {
				t.Fatal(err)
			}
			_, err = Merge(entry("dev"))
			if waited := time.Since(began); (waited == 0) != (age > 0) {
				t.Errorf("%s: waited %s", what, waited)
			}
		})
		if fault.KindOf(err) != fault.Kubeconfig || !strings.Contains(fault.Problem(err).HintText(), "rm "+path+".lock") {
			t.Errorf("%s: got %v, hint %q", what, err, fault.Problem(err).HintText())
		}
	}
}

// What has nothing to change does not wait for a lock.
func TestLockIsTakenOnlyToChange(t *testing.T) {
	path := setup(t, foreign)
	merge(t, entry("dev"), path)
	write(t, path+".lock", "")
	merge(t, entry("dev"), path)
	remove(t, "nobody", false)
}
