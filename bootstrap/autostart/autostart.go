// Package autostart has this machine's service manager start clusters after the machine was restarted: systemd on Linux,
// launchd on macOS. What it starts is "bonsai autostart run", which knows the clusters.
//
// The files are functions of values (Unit, Agent); Service puts them in place. Begin reading at Find.
package autostart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"bonsai/bootstrap/atomicfile"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// commandLimit bounds a command of the service manager, which takes milliseconds.
const commandLimit = 20 * time.Second

// Machine is what decides how clusters are started.
type Machine struct {
	OS   string
	UID  int
	Home string // of the user
	// ConfigHome is $XDG_CONFIG_HOME, empty for the default.
	ConfigHome string
	// Systemd says that systemd runs this machine.
	Systemd bool
}

// Program is what is to be started.
type Program struct {
	// Executable is an absolute path, StateDir the state folder.
	Executable, StateDir string
	// Env is what of the user's environment it needs, as NAME=VALUE.
	Env []string
}

// Kept are the variables of the environment that decide which engine and which kubeconfig are used.
var Kept = []string{"PATH", "KUBECONFIG", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "BONSAI_WAIT_SCALE"}

// Service is the entry in a service manager.
type Service struct {
	// Name is the unit's or agent's, Manager "systemd" (of the machine), "systemd --user" or "launchd".
	Name    string `json:"name"`
	Manager string `json:"manager"`
	File    string `json:"file"`
	// At is when it starts: "boot" or "login".
	At string `json:"at"`

	content string
	enable  []string
	disable []string
	// reload makes a running service manager read its files again; nil if that is not needed.
	reload []string
}

// Find returns the service of a state folder on this machine. Without a service manager the fault says what to do.
//
// That of root is started at boot, after Docker; that of another user at login, or at boot for a user who lingers, and it
// cannot wait for units of the machine.
func Find(m Machine, p Program) (Service, error) {
	name := serviceName(m, p.StateDir)
	switch {
	case m.OS == "darwin":
		s := Service{Name: "io." + name, Manager: "launchd", At: "login"}
		s.File = filepath.Join(m.Home, "Library", "LaunchAgents", s.Name+".plist")
		domain := fmt.Sprintf("gui/%d", m.UID)
		s.content, s.enable, s.disable = Agent(s.Name, p), []string{"launchctl", "bootstrap", domain, s.File}, []string{"launchctl", "bootout", domain + "/" + s.Name}
		return s, nil
	case m.Systemd && m.UID == 0:
		s := Service{Name: name + ".service", Manager: "systemd", At: "boot", File: filepath.Join("/etc/systemd/system", name+".service")}
		s.content = Unit(p, "multi-user.target", "docker.service network-online.target")
		s.enable, s.disable, s.reload = []string{"systemctl", "enable", s.Name}, []string{"systemctl", "disable", s.Name}, []string{"systemctl", "daemon-reload"}
		return s, nil
	case m.Systemd:
		config := m.ConfigHome
		if config == "" {
			config = filepath.Join(m.Home, ".config")
		}
		s := Service{Name: name + ".service", Manager: "systemd --user", At: "login", File: filepath.Join(config, "systemd", "user", name+".service")}
		s.content = Unit(p, "default.target", "")
		s.enable, s.disable, s.reload = []string{"systemctl", "--user", "enable", s.Name}, []string{"systemctl", "--user", "disable", s.Name}, []string{"systemctl", "--user", "daemon-reload"}
		return s, nil
	}
	words := append([]string{"BONSAI_HOME=" + p.StateDir, p.Executable}, arguments()...)
	return Service{}, fault.Newf(fault.Usage, "this machine has neither systemd nor launchd, which could start clusters").
		Advise("have what starts programs here run this as your user, after Docker; with cron it is a line of crontab -e that begins with @reboot",
			cluster.Program("env").On(words...).Change())
}

// serviceName is different for each state folder; the default one has the plain name.
func serviceName(m Machine, stateDir string) string {
	if stateDir == filepath.Join(m.Home, ".bonsai") {
		return "bonsai"
	}
	sum := sha256.Sum256([]byte(stateDir))
	return "bonsai-" + hex.EncodeToString(sum[:4])
}

// arguments are those of what is started.
func arguments() []string { return []string{"autostart", "run"} }

// Unit is a unit file of systemd (systemd.unit(5)) that belongs to target and starts after other units.
func Unit(p Program, target, after string) string {
	var b strings.Builder
	fmt.Fprintln(&b, "[Unit]\nDescription=bonsai clusters that ran when this machine was stopped")
	if after != "" {
		// Wants only what exists is started: without Docker, clusters without nodes are.
		fmt.Fprintf(&b, "After=%[1]s\nWants=%[1]s\n", after)
	}
	// oneshot: the command ends when the clusters run. RemainAfterExit: it is not started again by what wants it.
	// KillMode: control planes have a scope of their own; should one be here nevertheless, the end of this unit leaves it.
	fmt.Fprintln(&b, "\n[Service]\nType=oneshot\nRemainAfterExit=yes\nKillMode=process")
	for _, e := range append([]string{"BONSAI_HOME=" + p.StateDir}, p.Env...) {
		fmt.Fprintf(&b, "Environment=%s\n", unitQuote(e))
	}
	fmt.Fprintf(&b, "ExecStart=%s", unitQuote(p.Executable))
	for _, a := range arguments() {
		fmt.Fprintf(&b, " %s", a)
	}
	fmt.Fprintf(&b, "\n\n[Install]\nWantedBy=%s\n", target)
	return b.String()
}

// unitQuote quotes a word for a unit file, in which % and $ have a meaning, too.
func unitQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$", "\n", `\n`).Replace(s) + `"`
}

// Agent is the property list of a launchd agent (launchd.plist(5)).
func Agent(label string, p Program) string {
	var b strings.Builder
	text := func(s string) string {
		return "<string>" + strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s) + "</string>"
	}
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>Label</key>%s
<key>RunAtLoad</key><true/>
<key>AbandonProcessGroup</key><true/>
<key>ProgramArguments</key><array>%s`, text(label), text(p.Executable))
	for _, a := range arguments() {
		b.WriteString(text(a))
	}
	b.WriteString("</array>\n<key>EnvironmentVariables</key><dict>")
	for _, e := range append([]string{"BONSAI_HOME=" + p.StateDir}, p.Env...) {
		name, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(&b, "<key>%s</key>%s", name, text(value))
	}
	b.WriteString("</dict>\n</dict></plist>\n")
	return b.String()
}

// Installed reports whether the service exists.
func (s Service) Installed() bool {
	_, err := os.Stat(s.File)
	return err == nil
}

// Install writes the service's file and enables it. It can be repeated, after bonsai was moved for example.
func (s Service) Install(ctx context.Context) error {
	const op = "have clusters started with this machine"
	if err := os.MkdirAll(filepath.Dir(s.File), 0o755); err != nil {
		return fault.New(fault.State, op, err)
	}
	was, err := os.ReadFile(s.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.State, op, err)
	}
	// The environment may hold what only this user should know.
	if err := atomicfile.Write(s.File, []byte(s.content), 0o600, atomicfile.Options{Durable: true}); err != nil {
		return fault.New(fault.State, op, err)
	}
	if err := run(ctx, s.enable); err != nil {
		if was == nil { // nothing half-made
			err = errors.Join(err, os.Remove(s.File))
		}
		return fault.New(fault.State, op, err)
	}
	if len(s.reload) > 0 {
		_ = run(ctx, s.reload) // a manager that does not run yet, as in a shell without a login session, reads it when it starts
	}
	return nil
}

// Remove disables the service and removes its file. A missing one is not an error.
func (s Service) Remove(ctx context.Context) error {
	if !s.Installed() {
		return nil
	}
	const op = "stop having clusters started with this machine"
	if err := run(ctx, s.disable); err != nil && s.Manager != "launchd" { // launchd knows only what it has loaded
		return fault.New(fault.State, op, err)
	}
	if err := os.Remove(s.File); err != nil {
		return fault.New(fault.State, op, err)
	}
	if len(s.reload) > 0 {
		_ = run(ctx, s.reload)
	}
	return nil
}

// run runs a command of the service manager; its output is part of the error.
func run(ctx context.Context, command []string) error {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
