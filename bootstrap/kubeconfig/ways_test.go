package kubeconfig

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/pki"
)

// change changes a text of a file as a user would.
func change(t *testing.T, path string, oldNew ...string) {
	t.Helper()
	text := read(t, path)
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			t.Fatalf("no %q in\n%s", oldNew[i], text)
		}
	}
	write(t, path, strings.NewReplacer(oldNew...).Replace(text))
}

// add adds items to a file as kubectl config set-… does.
func add(t *testing.T, path string, items string) {
	t.Helper()
	d, err := parse([]byte(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	more, err := parse([]byte(items))
	if err != nil {
		t.Fatal(err)
	}
	for list := range bodyOf {
		if from := get(more.root, list); from != nil {
			to := get(d.root, list)
			to.Content, to.Style = append(to.Content, from.Content...), 0
		}
	}
	write(t, path, string(d.bytes()))
}

func contextsIn(t *testing.T, path string) (names []string, current string) {
	t.Helper()
	var v struct {
		Contexts []struct{ Name string }
		Current  string `yaml:"current-context"`
	}
	if err := yaml.Unmarshal([]byte(read(t, path)), &v); err != nil {
		t.Fatal(err)
	}
	for _, c := range v.Contexts {
		names = append(names, c.Name)
	}
	return names, v.Current
}

func wantContexts(t *testing.T, path, current string, want ...string) {
	t.Helper()
	if got, now := contextsIn(t, path); !slices.Equal(got, want) || now != current {
		t.Errorf("contexts %v, current %q; want %v, current %q", got, now, want, current)
	}
}

// issued is an entry with certificates as clusters have them.
func issued(t *testing.T, name string) Entry {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	if err := pki.Ensure(dir, cluster.Spec{Name: name}); err != nil {
		t.Fatal(err)
	}
	return Entry{
		Name: name, Server: "https://127.0.0.1:6443", CA: []byte(read(t, filepath.Join(dir, "ca.crt"))),
		Cert: []byte(read(t, filepath.Join(dir, "admin.crt"))), Key: []byte(read(t, filepath.Join(dir, "admin.key"))),
	}
}

const twoContexts = `contexts:
- context: {cluster: dev, user: dev, namespace: apps}
  name: apps
- context: {cluster: work, user: me}
  name: work
clusters:
- {name: work, cluster: {server: "https://work.example"}}
users:
- {name: me, user: {token: x}}
`

func TestRenamedAndFurtherContextsAreTheClusters(t *testing.T) {
	for _, c := range []struct {
		name    string
		rename  string // of our own context
		current string // what the user chose then
		want    string // the current one after another start
		left    string // and after the delete
	}{
		{"the current one leads here", "mine", "apps", "apps", "work"},
		{"another one is current", "mine", "work", "mine", "work"},
		{"ours has its name", "dev", "work", "dev", "work"},
		{"none is current", "mine", `""`, "mine", "work"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := issued(t, "dev")
			path := setup(t, "current-context: work\ncontexts: []\nclusters: []\nusers: []\n")
			add(t, path, strings.Replace(twoContexts, "- context: {cluster: dev, user: dev, namespace: apps}\n  name: apps\n", "", 1))
			merge(t, e, path)
			add(t, path, "contexts:\n- context: {cluster: dev, user: dev, namespace: apps}\n  name: apps\n")
			change(t, path, "  name: dev\n- ", "  name: "+c.rename+"\n- ") // the context, which others follow
			change(t, path, "current-context: dev", "current-context: "+c.current)
			before := Inspect(e)
			if before.State != Configured || len(before.Contexts) != 2 || !slices.Contains(before.Contexts, c.rename) || !slices.Contains(before.Contexts, "apps") {
				t.Errorf("before: %+v", before)
			}
			m, err := Merge(e)
			if err != nil || m.Changed || m.Context != c.want {
				t.Errorf("Merge: %+v, %v; want %s unchanged", m, err, c.want)
			}
			wantContexts(t, path, c.want, "work", c.rename, "apps")
			// Another port and another certificate are repaired where they are.
			moved := e
			moved.Server, moved.Cert = "https://127.0.0.1:7443", issued(t, "dev").Cert
			if a := Inspect(moved); a.State != Misconfigured || len(a.Contexts) > 0 {
				t.Errorf("moved: %+v", a)
			}
			if m, err := Merge(moved); err != nil || !m.Changed || m.Context != c.want {
				t.Errorf("Merge after the move: %+v, %v", m, err)
			}
			wantContexts(t, path, c.want, "work", c.rename, "apps")
			if removed, err := Remove(e.CA); err != nil || !removed {
				t.Errorf("Remove: %v, %v", removed, err)
			}
			wantContexts(t, path, c.left, "work")
			text := read(t, path)
			if strings.Contains(text, "client-key-data") || strings.Contains(text, "certificate-authority-data") || !strings.Contains(text, "token: x") {
				t.Errorf("users or clusters are left, or gone:\n%s", text)
			}
		})
	}
}

// A user of the cluster's own, or a way to it from elsewhere, is not bonsai's to repair.
func TestOwnCredentialsAndAddressesStay(t *testing.T) {
	e := issued(t, "dev")
	path := setup(t, "contexts: []\nclusters: []\nusers: []\n")
	ca := base64.StdEncoding.EncodeToString(e.CA)
	jane := base64.StdEncoding.EncodeToString([]byte(read(t, filepath.Join(janes(t), "front-proxy-client.crt"))))
	add(t, path, `contexts:
- {name: a, context: {cluster: far, user: jane}}
- {name: b, context: {cluster: near, user: token}}
clusters:
- {name: far, cluster: {server: "https://tunnel.example:7000", tls-server-name: localhost, certificate-authority-data: `+ca+`}}
- {name: near, cluster: {server: "https://localhost:6443", certificate-authority-data: `+ca+`}}
users:
- {name: jane, user: {client-certificate-data: `+jane+`, client-key-data: eA==}}
- {name: token, user: {token: secret}}
`)
	before := read(t, path)
	m, err := Merge(e)
	if err != nil || m.Context != "a" || m.Changed {
		t.Errorf("Merge: %+v, %v", m, err)
	}
	if got := read(t, path); got != before+"current-context: a\n" {
		t.Errorf("changed to\n%s", got)
	}
	if _, err := Remove(e.CA); err != nil {
		t.Fatal(err)
	}
	wantContexts(t, path, "")
	if text := read(t, path); !strings.Contains(text, "token: secret") || strings.Contains(text, "jane") {
		t.Errorf("left:\n%s", text)
	}
}

func janes(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	if err := pki.Ensure(dir, cluster.Spec{Name: "jane"}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAuthorityAndUserInFiles(t *testing.T) {
	e := entry("dev")
	path := setup(t, "contexts:\n- {name: mine, context: {cluster: c, user: u}}\nclusters:\n- {name: c, cluster: {server: \"https://127.0.0.1:6443\", certificate-authority: ca.crt}}\nusers:\n- {name: u, user: {client-certificate: c.crt, client-key: c.key}}\n")
	dir := filepath.Dir(path)
	write(t, filepath.Join(dir, "ca.crt"), string(e.CA))
	write(t, filepath.Join(dir, "c.crt"), string(e.Cert))
	write(t, filepath.Join(dir, "c.key"), string(e.Key))
	if a := Inspect(e); a.State != Configured || !slices.Equal(a.Contexts, []string{"mine"}) {
		t.Errorf("got %+v", a)
	}
	remove(t, "dev", true)
	wantContexts(t, path, "")
}

// What other contexts use under our name is not replaced.
func TestForeignClusterOfOurNameStays(t *testing.T) {
	path := setup(t, "contexts:\n- {name: theirs, context: {cluster: dev, user: dev}}\nclusters:\n- {name: dev, cluster: {server: \"https://dev.example\"}}\nusers:\n- {name: dev, user: {token: x}}\n")
	merge(t, entry("dev"), path)
	text := read(t, path)
	for _, want := range []string{"https://dev.example", "token: x", "cluster: dev-2", "user: dev-2"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	remove(t, "dev", true)
	wantContexts(t, path, "", "theirs")
	if text := read(t, path); strings.Contains(text, "dev-2") || !strings.Contains(text, "token: x") {
		t.Errorf("left:\n%s", text)
	}
}

// restricted makes files look to this test as they do to a user who is not root, whom modes do not stop.
func restricted(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	if err := syscall.Setreuid(65534, -1); err != nil { // access(2) asks for the real user
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setreuid(0, -1); err != nil {
			t.Fatal(err)
		}
	})
}

// lists is a KUBECONFIG of files with these contents; those that begin with "ro" are in a folder that cannot be changed.
// A file without content does not exist.
func lists(t *testing.T, files ...[2]string) (paths map[string]string) {
	t.Helper()
	paths = map[string]string{}
	top := t.TempDir()
	var list []string
	for _, f := range files {
		dir := filepath.Join(top, f[0])
		path := filepath.Join(dir, "config")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if f[1] != "" {
			write(t, path, f[1])
		}
		mode := os.FileMode(0o777)
		if strings.HasPrefix(f[0], "ro") {
			mode = 0o555
		}
		if err := errors.Join(os.Chmod(dir, mode), os.Chmod(top, 0o755), os.Chmod(filepath.Dir(top), 0o755)); err != nil {
			t.Fatal(err)
		}
		if f[1] != "" {
			if err := os.Chmod(path, 0o666&mode); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) }) //nolint:gosec // a folder needs it
		paths[f[0]] = path
		list = append(list, path)
	}
	t.Setenv("KUBECONFIG", strings.Join(list, string(filepath.ListSeparator)))
	restricted(t)
	return paths
}

func TestReadOnlyFilesOfTheList(t *testing.T) {
	const team = "contexts:\n- {name: prod, context: {cluster: prod, user: me}}\ncurrent-context: prod\n"
	const mine = "apiVersion: v1\nkind: Config\n"
	const home = "contexts:\n- {name: home, context: {cluster: home, user: me}}\ncurrent-context: home\n"
	for _, c := range []struct {
		name    string
		files   [][2]string
		in      string // which file gets the entry; none if it is impossible
		current string // the other one that stays current
	}{
		{"behind a new one", [][2]string{{"own", ""}, {"ro", team}}, "own", ""},
		{"behind an old one", [][2]string{{"own", mine}, {"ro", team}}, "own", ""},
		{"behind one with a choice", [][2]string{{"own", home}, {"ro", team}}, "own", ""},
		{"in front, without a choice", [][2]string{{"ro", mine}, {"own", home}}, "own", ""},
		{"in front, with a choice", [][2]string{{"ro", team}, {"own", home}}, "own", "prod"},
		{"between", [][2]string{{"own", mine}, {"ro", team}, {"own2", home}}, "own", ""},
		{"alone", [][2]string{{"ro", team}}, "", ""},
		{"alone, and missing", [][2]string{{"ro", ""}}, "", ""},
		{"with our name in it", [][2]string{{"ro", strings.ReplaceAll(team, "prod", "dev")}, {"own", mine}}, "own", "dev"},
	} {
		t.Run(c.name, func(t *testing.T) {
			paths := lists(t, c.files...)
			err := Check()
			if c.in == "" {
				_, mergeErr := Merge(entry("dev"))
				for _, err := range []error{err, mergeErr} {
					hint := fault.Problem(err).HintText()
					if fault.KindOf(err) != fault.Kubeconfig || !strings.Contains(hint, "export KUBECONFIG=FILE:"+paths["ro"]) {
						t.Errorf("got %v, hint %s", err, hint)
					}
				}
				return
			}
			if err != nil {
				t.Errorf("Check: %v", err)
			}
			m, err := Merge(entry("dev"))
			if err != nil || m.Path != paths[c.in] || m.Current != c.current {
				t.Fatalf("Merge: %+v, %v; want it in %s, and %q current", m, err, paths[c.in], c.current)
			}
			if err := os.Chmod(m.Path, 0o666); err != nil { // for the user that restricted pretends to be
				t.Fatal(err)
			}
			if a := Inspect(entry("dev")); a.State != Configured || !slices.Equal(a.Contexts, []string{m.Context}) {
				t.Errorf("Inspect: %+v", a)
			}
			if removed, err := Remove(entry("dev").CA); err != nil || !removed {
				t.Errorf("Remove: %v, %v", removed, err)
			}
			for _, f := range c.files {
				text := ""
				if _, err := os.Stat(paths[f[0]]); err == nil {
					text = read(t, paths[f[0]])
				}
				if strings.HasPrefix(f[0], "ro") && text != f[1] || strings.Contains(text, "6443") {
					t.Errorf("%s is now\n%s", f[0], text)
				}
				before, err1 := parse([]byte(f[1]))
				after, err2 := parse([]byte(text))
				if err := errors.Join(err1, err2); err != nil || before.current() != after.current() {
					t.Errorf("%s: %v; its current context was %q and is %q", f[0], err, before.current(), after.current())
				}
				if left, _ := filepath.Glob(paths[f[0]] + "?*"); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			}
		})
	}
}

// A cluster whose entry is where it cannot be removed: what stays is named, and the rest goes.
func TestRemoveFromAReadOnlyFile(t *testing.T) {
	ours := string(entry("dev").File())
	paths := lists(t, [2]string{"own", strings.ReplaceAll(ours, "name: dev", "name: mine")}, [2]string{"ro", ours})
	removed, err := Remove(entry("dev").CA)
	if !removed || fault.KindOf(err) != fault.Kubeconfig || !strings.Contains(err.Error(), paths["ro"]) || !strings.Contains(fault.Problem(err).HintText(), "dev") {
		t.Errorf("Remove: %v, %v, hint %s", removed, err, fault.Problem(err).HintText())
	}
	if strings.Contains(read(t, paths["own"]), "6443") || read(t, paths["ro"]) != ours {
		t.Error("the file that can be changed was not, or the other was")
	}
}

func TestLinkIntoAReadOnlyStore(t *testing.T) {
	paths := lists(t, [2]string{"ro", foreign}, [2]string{"own", ""})
	link := filepath.Join(filepath.Dir(paths["own"]), "link")
	if err := os.Symlink(paths["ro"], link); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", link)
	if err := Check(); fault.KindOf(err) != fault.Kubeconfig {
		t.Errorf("Check: %v", err)
	}
	t.Setenv("KUBECONFIG", link+":"+paths["own"])
	merge(t, Entry{Name: "dev", Server: "https://127.0.0.1:1", CA: []byte("ca")}, paths["own"])
	if target, err := os.Readlink(link); err != nil || target != paths["ro"] || read(t, link) != foreign {
		t.Errorf("the link is %s, %v", target, err)
	}
}

// A device is not replaced by a file, even by root.
func TestOnlyRegularFilesAreWritten(t *testing.T) {
	t.Setenv("KUBECONFIG", os.DevNull)
	_, err := Merge(entry("dev"))
	for _, err := range []error{err, Check()} {
		if fault.KindOf(err) != fault.Kubeconfig || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("got %v", err)
		}
	}
	if removed, err := Remove(entry("dev").CA); removed || err != nil {
		t.Errorf("Remove: %v, %v", removed, err)
	}
	if a := Inspect(entry("dev")); a.State != Missing {
		t.Errorf("Inspect: %+v", a)
	}
}

func TestFilesWithNothingInThem(t *testing.T) {
	for _, content := range []string{
		"", "\n", "---", "---\n", "---\n...\n", "null\n", "{}", "# only a comment", "# one\n# two\n", "---\n# one\n", "apiVersion: v1\r\nkind: Config\r\n",
		"# one\r\napiVersion: v1\r\nclusters: []\r\n", "\ufeffapiVersion: v1\n",
	} {
		path := setup(t, "")
		write(t, path, content)
		if err := Check(); err != nil {
			t.Errorf("%q: %v", content, err)
		}
		if removed, err := Remove(entry("dev").CA); err != nil || removed || read(t, path) != content {
			t.Errorf("%q: Remove: %v, %v; the file is %q", content, removed, err, read(t, path))
		}
		merge(t, entry("dev"), path)
		wantContexts(t, path, "dev", "dev")
		remove(t, "dev", true)
		wantContexts(t, path, "")
		text := read(t, path)
		for line := range strings.SplitSeq(content, "\n") {
			if comment := strings.TrimSpace(line); strings.HasPrefix(comment, "#") && !strings.Contains(text, comment) {
				t.Errorf("%q: %s is gone from\n%s", content, comment, text)
			}
		}
		if lines := strings.Count(text, "\n"); strings.Contains(content, "\r\n") && strings.Count(text, "\r\n") != lines {
			t.Errorf("%q: lines end in both ways: %q", content, text)
		}
		if strings.HasPrefix(content, "---") != strings.HasPrefix(text, "---\n") {
			t.Errorf("%q became %q", content, text)
		}
	}
}

func TestStyleOfAFileStays(t *testing.T) {
	for what, content := range map[string]string{
		"kubectl's":   strings.ReplaceAll(plainFile, "\n    ", "\n"),
		"four spaces": plainFile,
		"Windows":     strings.ReplaceAll(plainFile, "\n", "\r\n"),
		"a marker":    "---\n" + plainFile,
	} {
		path := setup(t, content)
		merge(t, entry("dev"), path)
		remove(t, "dev", true)
		if got := read(t, path); got != content {
			t.Errorf("%s: it was\n%s\nand is\n%s", what, content, got)
		}
	}
}

const plainFile = `# mine
apiVersion: v1
kind: Config
current-context: work # at work
contexts:
    - context: {cluster: work, user: me, namespace: "007"}
      name: work # the office
clusters:
    - name: work
      cluster:
        server: 'https://work.example:6443'
        some-future-field: {a: [1, 0x10, 1.50, yes, ~]}
users: []
`
