package truststore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/localca"
)

// machine is one that is not there.
type machine struct {
	os       string
	root     bool
	files    map[string]string
	programs []string
	run      func(args []string) (string, error)
}

func (m *machine) OS() string   { return m.os }
func (m *machine) Home() string { return "/home/u" }
func (m *machine) Root() bool   { return m.root }
func (m *machine) Exists(name string) bool {
	for file := range m.files {
		if file == name || strings.HasPrefix(file, name+"/") {
			return true
		}
	}
	return false
}
func (m *machine) Glob(pattern string) (found []string) {
	for file := range m.files {
		for dir := file; dir != "/"; dir = path.Dir(dir) {
			if ok, _ := path.Match(pattern, dir); ok && !slices.Contains(found, dir) {
				found = append(found, dir)
			}
		}
	}
	return found
}
func (m *machine) Read(name string) ([]byte, error) {
	text, ok := m.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}
func (m *machine) Has(program string) bool { return slices.Contains(m.programs, program) }
func (m *machine) Run(_ context.Context, args []string) (string, error) {
	if m.run == nil {
		return "", errors.New("nothing runs here")
	}
	return m.run(args)
}

// failed is the exit of a program with an error.
type failed struct{}

func (failed) Error() string { return "exit status 255" }
func (failed) ExitCode() int { return 255 }

func authority(t *testing.T) (Certificate, string) {
	t.Helper()
	dir := t.TempDir()
	a, err := localca.Ensure(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return Certificate{File: localca.File(dir), Certificate: a.Certificate}, string(a.PEM())
}

func commands(list []Command) string {
	var all []string
	for _, c := range list {
		all = append(all, c.String())
	}
	return strings.Join(all, "\n")
}

func TestSystems(t *testing.T) {
	c, pem := authority(t)
	c.File = "/home/u/ca.crt"
	for _, test := range []struct{ folder, program, file, add, remove string }{
		{"/usr/local/share/ca-certificates", "update-ca-certificates", ".crt", "update-ca-certificates", "update-ca-certificates --fresh"},
		{"/etc/pki/ca-trust/source/anchors", "update-ca-trust", ".pem", "update-ca-trust extract", "update-ca-trust extract"},
		{"/etc/ca-certificates/trust-source/anchors", "update-ca-trust", ".crt", "update-ca-trust extract", "update-ca-trust extract"},
		{"/etc/pki/trust/anchors", "update-ca-certificates", ".pem", "update-ca-certificates", "update-ca-certificates --fresh"},
	} {
		m := &machine{os: "linux", files: map[string]string{test.folder + "/README": ""}, programs: []string{test.program}}
		all := Find(m)
		if len(all) != 1 || all[0].Where != test.folder || all[0].Name != "the system" {
			t.Fatalf("%s: %+v", test.folder, all)
		}
		s := all[0]
		path := filepath.Join(test.folder, c.fileName(test.file))
		if got, want := commands(s.Add(m, c)), "sudo install -m 0644 /home/u/ca.crt "+path+"\nsudo "+test.add; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if got, want := commands(s.Remove(m, c)), "sudo rm -f "+path+"\nsudo "+test.remove; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		m.root = true
		if got := commands(s.Add(m, c)); strings.Contains(got, "sudo") {
			t.Errorf("root needs no sudo: %s", got)
		}
		for content, want := range map[string]bool{"": false, "x": false, pem: true} {
			if content != "" {
				m.files[path] = content
			}
			if has, err := s.Has(t.Context(), m, c); err != nil || has != want {
				t.Errorf("with %q: %t, %v", content, has, err)
			}
			delete(m.files, path)
		}
	}
	if all := Find(&machine{os: "linux", files: map[string]string{"/usr/local/share/ca-certificates/x": ""}}); len(all) != 0 {
		t.Errorf("without the program: %+v", all)
	}
}

func TestDatabasesOfBrowsers(t *testing.T) {
	m := &machine{os: "linux", programs: []string{"chromium", "dnf"}, files: map[string]string{
		"/home/u/.mozilla/firefox/b.work/cert9.db":                                         "",
		"/home/u/.mozilla/firefox/a.default/cert9.db":                                      "",
		"/home/u/.mozilla/firefox/Crash Reports/x":                                         "",
		"/home/u/snap/chromium/current/.pki/nssdb/cert9.db":                                "",
		"/home/u/.var/app/org.chromium.Chromium/.pki/nssdb/cert9.db":                       "",
		"/home/u/.var/app/org.mozilla.firefox/.mozilla/firefox/c.default-release/cert9.db": "",
		"/home/u/.thunderbird/d.default/cert9.db":                                          "",
	}}
	var got []string
	for _, s := range Find(m) {
		got = append(got, s.Name+" "+s.Where)
		if s.Needs == nil || s.Needs.String() != "sudo dnf install -y nss-tools" {
			t.Errorf("%s needs %v", s.Name, s.Needs)
		}
	}
	want := []string{
		"Chromium and Chrome /home/u/.pki/nssdb", "Chromium in snap /home/u/snap/chromium/current/.pki/nssdb",
		"Chromium in flatpak org.chromium.Chromium /home/u/.var/app/org.chromium.Chromium/.pki/nssdb",
		"Firefox profile a.default /home/u/.mozilla/firefox/a.default", "Firefox profile b.work /home/u/.mozilla/firefox/b.work",
		"Firefox profile c.default-release /home/u/.var/app/org.mozilla.firefox/.mozilla/firefox/c.default-release",
		"Thunderbird profile d.default /home/u/.thunderbird/d.default",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	c, pem := authority(t)
	c.File = "/home/u/my files/ca.crt"
	m.programs = append(m.programs, "certutil")
	all := Find(m)
	name := "'" + c.Subject.CommonName + "'"
	if got, want := commands(all[0].Add(m, c)), "mkdir -p -m 0700 /home/u/.pki/nssdb\ncertutil -N -d sql:/home/u/.pki/nssdb --empty-password\n"+
		"certutil -A -d sql:/home/u/.pki/nssdb -t C,, -n "+name+" -i '/home/u/my files/ca.crt'"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if has, err := all[0].Has(t.Context(), m, c); err != nil || has {
		t.Errorf("a database that is not there has it: %t, %v", has, err)
	}
	firefox := all[3]
	if got, want := commands(firefox.Add(m, c)), "certutil -A -d sql:"+firefox.Where+" -t C,, -n "+name+" -i '/home/u/my files/ca.crt'"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	_, otherPEM := authority(t)
	for _, test := range []struct {
		out       string
		err, list error // list is that of showing all of it, which fails if the database is locked
		want, ok  bool
	}{
		{pem, nil, nil, true, true}, {otherPEM, nil, nil, false, true}, {"", failed{}, nil, false, true}, {"", failed{}, failed{}, false, false},
		{"", errors.New("no such program"), nil, false, false},
	} {
		m.run = func(args []string) (string, error) {
			if slices.Equal(args, []string{"certutil", "-L", "-d", "sql:" + firefox.Where}) && test.err != nil {
				return "", test.list
			}
			if want := []string{"certutil", "-L", "-d", "sql:" + firefox.Where, "-n", c.Subject.CommonName, "-a"}; !slices.Equal(args, want) {
				t.Errorf("run %q, want %q", args, want)
			}
			return test.out, test.err
		}
		if has, err := firefox.Has(t.Context(), m, c); has != test.want || (err == nil) != test.ok {
			t.Errorf("%q, %v: %t, %v", test.out, test.err, has, err)
		}
	}

}

func TestKeychain(t *testing.T) {
	c, pem := authority(t)
	c.File = "/Users/u/ca.crt"
	_, otherPEM := authority(t)
	m := &machine{os: "darwin", files: map[string]string{"/home/u/Library/Application Support/Firefox/Profiles/a.default/cert9.db": ""}}
	all := Find(m)
	if len(all) != 2 || all[1].Name != "Firefox profile a.default" || all[1].Needs.String() != "brew install nss" {
		t.Fatalf("%+v", all)
	}
	const at = "/home/u/Library/Keychains/login.keychain-db"
	if got, want := commands(all[0].Add(m, c)), "security add-trusted-cert -r trustRoot -k "+at+" /Users/u/ca.crt"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for out, want := range map[string]bool{"": false, otherPEM: false, otherPEM + pem: true} {
		m.run = func([]string) (string, error) { return out, nil }
		if has, err := all[0].Has(t.Context(), m, c); has != want || err != nil {
			t.Errorf("%t, %v", has, err)
		}
	}
}

func TestCommandsAreForAShell(t *testing.T) {
	c := Command{Args: []string{"a", "", "b c", "it's", "$HOME", "sql:/x"}}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf '%s|' "+strings.TrimPrefix(c.String(), "a ")).Output()
	if want := "|b c|it's|$HOME|sql:/x|"; err != nil || string(out) != want {
		t.Errorf("%s is read as %q, %v", c, out, err)
	}
}

// TestARealDatabase uses the real program, on a database of its own.
func TestARealDatabase(t *testing.T) {
	if find(certutil) == "" {
		t.Skip("there is no certutil; Debian has it in libnss3-tools")
	}
	c, _ := authority(t)
	t.Setenv("HOME", t.TempDir())
	m := NewHere()
	where := filepath.Join(m.Home(), ".pki", "nssdb")
	s := Store{Name: "test", Where: where, kind: database{}}
	check := func(want bool) {
		t.Helper()
		if has, err := s.Has(t.Context(), m, c); err != nil || has != want {
			t.Errorf("it has it: %t, %v", has, err)
		}
	}
	run := func(list []Command) {
		t.Helper()
		for _, command := range list {
			if out, err := m.Run(t.Context(), command.Args); err != nil {
				t.Fatalf("%s: %v: %s", command, err, out)
			}
		}
	}
	check(false)
	run(s.Add(m, c))
	check(true)
	if info, err := os.Stat(where); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if !slices.ContainsFunc(Find(m), func(s Store) bool { return s.Where == where }) {
		t.Error("it is not found")
	}
	out, err := m.Run(t.Context(), []string{certutil, "-V", "-d", "sql:" + where, "-n", c.Subject.CommonName, "-u", "L", "-e"})
	if err != nil {
		t.Errorf("it is not an authority for servers: %v: %s", err, out)
	}
	run(s.Remove(m, c))
	check(false)
}
