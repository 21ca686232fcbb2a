// Package unit gives a process a unit of systemd of its own.
//
// systemd kills what a service leaves behind when that ends, and on some machines also what a session leaves behind when
// its user logs out. A process that is meant to go on has to leave their control group, which only systemd may arrange.
// Begin reading at Adopt.
package unit

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// Manager is an instance of systemd that can own a process.
type Manager string

// The managers.
const (
	// None means that a process stays where it is.
	None   Manager = "none"
	System Manager = "system"
	User   Manager = "user"
)

// Place is where a process is.
type Place struct {
	// Cgroup is the path of its control group in the hierarchy of systemd.
	Cgroup string
	UID    int
	// Lingers says that the user's own systemd goes on when the user logs out.
	Lingers bool
}

// ManagerFor chooses who should own a process that has to outlive what started it.
func ManagerFor(p Place) Manager {
	switch base := path.Base(p.Cgroup); {
	case !strings.HasSuffix(base, ".scope") && !strings.HasSuffix(base, ".service") || base == "init.scope":
		return None // in a container, or not started by systemd
	case p.UID == 0:
		return System
	case strings.HasPrefix(base, "session-") && !p.Lingers:
		// A session's processes go on after the logout, where the machine is set up so; the user's systemd does not.
		return None
	}
	return User
}

// Adopt moves a process of this user that was just started into a scope of its own, if that makes it last longer. It
// reports where to; None without an error means that it stays where it is. Without systemd nothing happens.
func Adopt(ctx context.Context, name string, pid int) (Manager, error) {
	if _, err := os.Stat("/run/systemd/system"); err != nil { // as sd_booted(3)
		return None, nil
	}
	place := Place{Cgroup: cgroupOf(pid), UID: os.Getuid(), Lingers: Lingers(os.Getuid())}
	to := ManagerFor(place)
	// The managers' own sockets: they need no bus, and no variables of the environment, which a service does not have.
	socket := "/run/systemd/private"
	switch to {
	case None:
		return None, nil
	case User:
		socket = filepath.Join("/run/user", strconv.Itoa(place.UID), "systemd", "private")
	}
	conn, err := systemd.NewConnection(func() (*dbus.Conn, error) {
		c, err := dbus.Dial("unix:path="+socket, dbus.WithContext(ctx))
		if err != nil {
			return nil, err
		}
		if err := c.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(place.UID))}); err != nil {
			_ = c.Close()
			return nil, err
		}
		return c, nil
	})
	if err != nil {
		return None, fmt.Errorf("reach the %s's systemd: %w", to, err)
	}
	defer conn.Close()
	done := make(chan string, 1)
	if _, err := conn.StartTransientUnitContext(ctx, name+".scope", "fail", []systemd.Property{
		systemd.PropDescription("control plane of a bonsai cluster"),
		systemd.PropPids(uint32(pid)),
		// One that was killed does not stay as a failed unit, whose name the next could not have.
		{Name: "CollectMode", Value: dbus.MakeVariant("inactive-or-failed")},
	}, done); err != nil {
		return None, fmt.Errorf("have systemd make %s.scope: %w", name, err)
	}
	select {
	case result := <-done:
		if result != "done" {
			return None, fmt.Errorf("systemd does not make %s.scope: %s", name, result)
		}
		return to, nil
	case <-ctx.Done():
		return None, fmt.Errorf("wait for systemd to make %s.scope: %w", name, context.Cause(ctx))
	}
}

// Lingers reports whether a user's own systemd starts with the machine and goes on when the user logs out, as "loginctl
// enable-linger" has it.
func Lingers(uid int) bool {
	accounts, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(accounts)) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == strconv.Itoa(uid) {
			_, err := os.Stat(filepath.Join("/var/lib/systemd/linger", f[0]))
			return err == nil
		}
	}
	return false
}

// cgroupOf is the control group of a process in the hierarchy of systemd, cgroup v2 or the named one of v1; "" if it
// cannot be read.
func cgroupOf(pid int) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return ""
	}
	return cgroupIn(string(text))
}

func cgroupIn(text string) (found string) {
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(f) != 3:
		case f[1] == "name=systemd":
			return f[2]
		case f[1] == "":
			found = f[2]
		}
	}
	return found
}
