package autostart

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bonsai/bootstrap/fault"
)

func TestEachMachineHasItsService(t *testing.T) {
	p := Program{Executable: "/opt/bonsai", StateDir: "/home/me/.bonsai"}
	for what, c := range map[string]struct {
		m                 Machine
		file, manager, at string
		contains          []string
	}{
		"a user with systemd": {
			Machine{OS: "linux", UID: 1000, Home: "/home/me", Systemd: true},
			"/home/me/.config/systemd/user/bonsai.service", "systemd --user", "login", []string{"WantedBy=default.target"},
		},
		"with folders elsewhere": {
			Machine{OS: "linux", UID: 1000, Home: "/home/me", ConfigHome: "/cfg", Systemd: true},
			"/cfg/systemd/user/bonsai.service", "systemd --user", "login", nil,
		},
		"root": {
			Machine{OS: "linux", Home: "/home/me", Systemd: true},
			"/etc/systemd/system/bonsai.service", "systemd", "boot", []string{"WantedBy=multi-user.target", "After=docker.service"},
		},
		"a Mac": {
			Machine{OS: "darwin", UID: 501, Home: "/home/me"},
			"/home/me/Library/LaunchAgents/io.bonsai.plist", "launchd", "login", []string{"<string>run</string>"},
		},
	} {
		s, err := Find(c.m, p)
		if err != nil || s.File != c.file || s.Manager != c.manager || s.At != c.at {
			t.Errorf("%s: %+v, %v", what, s, err)
		}
		for _, part := range append(c.contains, "/opt/bonsai", "/home/me/.bonsai") {
			if !strings.Contains(s.content, part) {
				t.Errorf("%s: no %q in\n%s", what, part, s.content)
			}
		}
	}
	other, err := Find(Machine{OS: "linux", UID: 1000, Home: "/home/me", Systemd: true}, Program{Executable: "/opt/bonsai", StateDir: "/tmp/x"})
	if err != nil || other.Name == "bonsai.service" {
		t.Errorf("another state folder has the service %s, %v", other.Name, err)
	}
}

func TestWithoutAServiceManagerItSaysWhatToDo(t *testing.T) {
	_, err := Find(Machine{OS: "linux", UID: 1000, Home: "/home/me"}, Program{Executable: "/opt/my bonsai", StateDir: "/home/me/.bonsai"})
	if hint := fault.Problem(err).HintText(); !strings.Contains(hint, "env BONSAI_HOME=/home/me/.bonsai '/opt/my bonsai' autostart run") {
		t.Errorf("%v: %s", err, hint)
	}
}

// Paths and variables may contain what has a meaning in these files.
func TestOddPathsAreQuoted(t *testing.T) {
	p := Program{Executable: `/a "b" 100% $HOME\x`, StateDir: "/home/me/<&>", Env: []string{"DOCKER_HOST=unix:///x y"}}
	text := Unit(p, "default.target", "")
	for _, want := range []string{`ExecStart="/a \"b\" 100%% $$HOME\\x" autostart run`, `Environment="DOCKER_HOST=unix:///x y"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	decoder := xml.NewDecoder(strings.NewReader(Agent("io.bonsai", p)))
	var strs []string
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := token.(xml.CharData); ok {
			strs = append(strs, string(data))
		}
	}
	if all := strings.Join(strs, "\n"); !strings.Contains(all, p.Executable) || !strings.Contains(all, p.StateDir) {
		t.Errorf("the values read back are %q", strs)
	}
}

// TestSystemdReadsTheUnit has systemd itself judge the file, where it is installed.
func TestSystemdReadsTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	file := filepath.Join(t.TempDir(), "bonsai.service")
	if err := os.WriteFile(file, []byte(Unit(Program{Executable: "/bin/true", StateDir: "/home/me/.bonsai", Env: []string{"A=100% $x"}}, "default.target", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), "bonsai.service:") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestInstallAndRemove(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	note := func(word string) []string { return []string{"sh", "-c", "echo " + word + " >>" + log} }
	s := Service{Name: "x", File: filepath.Join(dir, "a", "x.service"), content: "[Unit]\n", enable: note("enable"), disable: note("disable"), reload: note("reload")}
	for range 2 {
		if err := s.Install(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(s.File); err != nil || info.Mode().Perm() != 0o600 || !s.Installed() {
		t.Errorf("the file: %v, %v", info, err)
	}
	for range 2 {
		if err := s.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if text, _ := os.ReadFile(log); s.Installed() || string(text) != "enable\nreload\nenable\nreload\ndisable\nreload\n" {
		t.Errorf("installed %v, log %q", s.Installed(), text)
	}
	s.enable = []string{"sh", "-c", "echo no bus >&2; exit 1"}
	if err := s.Install(t.Context()); err == nil || !strings.Contains(err.Error(), "no bus") || s.Installed() {
		t.Errorf("a service that cannot be enabled: %v, installed %v", err, s.Installed())
	}
}
