package bootstrap

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/localca"
	"bonsai/bootstrap/localca/truststore"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/wait"
)

// storeMachine is a machine with one database of NSS, and the store of Debian. What runs changes nothing but them.
type storeMachine struct {
	truststore.Here
	home     string
	root     bool
	programs []string
	trusted  map[string]bool // names in the database
	system   map[string]string
	ran      []string
	failing  bool
}

func (m *storeMachine) OS() string   { return "linux" }
func (m *storeMachine) Home() string { return m.home }
func (m *storeMachine) Root() bool   { return m.root }
func (m *storeMachine) Exists(path string) bool {
	const system = "/usr/local/share/ca-certificates"
	return path == system || m.system[path] != "" || path == filepath.Join(m.home, ".pki/nssdb/cert9.db")
}
func (m *storeMachine) Glob(string) []string { return nil }
func (m *storeMachine) Read(path string) ([]byte, error) {
	return []byte(m.system[path]), nil
}
func (m *storeMachine) Has(program string) bool { return slices.Contains(m.programs, program) }

// exited is the exit of a program with an error.
type exited struct{}

func (exited) Error() string { return "exit status 255" }
func (exited) ExitCode() int { return 255 }

func (m *storeMachine) Run(_ context.Context, args []string) (string, error) {
	after := func(option string) string {
		if i := slices.Index(args, option); i >= 0 {
			return args[i+1]
		}
		return ""
	}
	looks := after("-L") != ""
	if !looks {
		m.ran = append(m.ran, args[0])
	}
	switch {
	case m.failing && !looks:
		return "certutil: the database is in use\n", exited{}
	case args[0] == "install":
		data, err := os.ReadFile(args[3])
		m.system[args[4]] = string(data)
		return "", err
	case args[0] == "rm":
		delete(m.system, args[2])
	case after("-A") != "":
		data, err := os.ReadFile(after("-i"))
		if err != nil {
			return "", err
		}
		m.trusted[after("-n")], m.system["nss "+after("-n")] = true, string(data)
	case after("-D") != "":
		delete(m.trusted, after("-n"))
	case looks && after("-n") == "": // all of them
	case looks:
		if !m.trusted[after("-n")] {
			return "", exited{}
		}
		return m.system["nss "+after("-n")], nil
	}
	return "", nil
}

func states(list []CAStore) string {
	var all []string
	for _, s := range list {
		all = append(all, string(s.State))
	}
	return strings.Join(all, ", ")
}

func TestTheLocalCAIsTrustedAndNotAnyMore(t *testing.T) {
	dir := statedir.Dir{Root: t.TempDir()}
	machine := &storeMachine{home: t.TempDir(), trusted: map[string]bool{}, system: map[string]string{}, programs: []string{"update-ca-certificates", "certutil"}}
	m := New(Env{Dir: dir, Trust: machine, Scale: wait.Scale(1)})
	check := func(what string, list []CAStore, err error, want string) {
		t.Helper()
		if err != nil || states(list) != want {
			t.Errorf("%s: %s, %v; want %s", what, states(list), err, want)
		}
	}
	list, err := m.UntrustLocalCA(t.Context(), false)
	check("before there is one", list, err, "not trusted, not trusted")
	if _, err := os.Stat(dir.LocalCA()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("untrust makes one: %v", err)
	}
	ca, err := m.LocalCA(t.Context())
	check("show", ca.Stores, err, "not trusted, not trusted")
	list, err = m.TrustLocalCA(t.Context(), true)
	check("a dry run", list, err, "by hand, by hand")
	if len(machine.ran) > 0 {
		t.Errorf("a dry run runs %q", machine.ran)
	}
	list, err = m.TrustLocalCA(t.Context(), false)
	check("trust", list, err, "by hand, changed")
	if c := list[0].Commands; len(c) != 2 || !strings.HasPrefix(c[0], "sudo install ") || c[1] != "sudo update-ca-certificates" {
		t.Errorf("commands: %q", c)
	}
	machine.root = true
	list, err = m.TrustLocalCA(t.Context(), false)
	check("trust by root", list, err, "changed, trusted")
	ca, err = m.LocalCA(t.Context())
	check("show", ca.Stores, err, "trusted, trusted")

	// Another one takes its place.
	if err := os.Remove(filepath.Join(dir.LocalCA(), "ca.key")); err != nil {
		t.Fatal(err)
	}
	ca, err = m.LocalCA(t.Context())
	check("show another one", ca.Stores, err, "not trusted, not trusted")
	if !ca.Stores[0].Old || !ca.Stores[1].Old {
		t.Errorf("the one before is not reported: %+v", ca.Stores)
	}
	list, err = m.TrustLocalCA(t.Context(), false)
	check("trust another one", list, err, "changed, changed")
	if len(machine.trusted) != 1 || !machine.trusted[ca.Name] {
		t.Errorf("trusted are %v, want only %s", machine.trusted, ca.Name)
	}
	if old := localca.Old(dir.LocalCA()); len(old) != 0 {
		t.Errorf("the one before is kept, although nothing trusts it: %v", old)
	}

	machine.failing = true
	list, err = m.UntrustLocalCA(t.Context(), false)
	if fault.KindOf(err) != fault.Machine || states(list) != "failed, failed" || !strings.Contains(list[1].Reason, "the database is in use") {
		t.Errorf("a failure: %+v, %v", list, err)
	}
	machine.failing = false
	list, err = m.UntrustLocalCA(t.Context(), false)
	check("untrust", list, err, "changed, changed")
	if len(machine.trusted) != 0 {
		t.Errorf("trusted are %v", machine.trusted)
	}
	if again, err := m.LocalCA(t.Context()); err != nil || again.Fingerprint != ca.Fingerprint {
		t.Errorf("it is another one, %v", err)
	}

	machine.programs = []string{"update-ca-certificates", "apt-get"}
	ca, err = m.LocalCA(t.Context())
	check("without the program", ca.Stores, err, "not trusted, unknown")
	list, err = m.TrustLocalCA(t.Context(), false)
	check("trust without the program", list, err, "changed, by hand")
	if c := list[1].Commands; len(c) != 2 || c[0] != "apt-get install -y libnss3-tools" || !strings.HasPrefix(c[1], "certutil -A ") {
		t.Errorf("commands: %q", c)
	}
}
