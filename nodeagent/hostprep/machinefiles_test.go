package hostprep

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

func TestFilesMoveToTheVolume(t *testing.T) {
	etc, given, kept := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "etc")
	move := func() {
		t.Helper()
		if err := moveToVolume(etc, given, kept, []string{"localtime", "timezone", "absent"}, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(want string) {
		t.Helper()
		for _, name := range []string{"localtime", "timezone"} {
			if to, err := os.Readlink(filepath.Join(etc, name)); err != nil || to != filepath.Join(kept, name) {
				t.Errorf("%s leads to %q (%v)", name, to, err)
			}
			if got := read(t, filepath.Join(etc, name)); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		for _, left := range []string{"absent", "localtime.link"} {
			if _, err := os.Lstat(filepath.Join(etc, left)); err == nil {
				t.Errorf("%s exists", left)
			}
		}
	}
	// A link, as the image has for the time zone, and a file.
	write(t, filepath.Join(etc, "zone"), "UTC")
	if err := os.Symlink("zone", filepath.Join(etc, "localtime")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(etc, "timezone"), "UTC")
	move()
	holds("UTC")
	before, err := os.Stat(filepath.Join(kept, "localtime"))
	if err != nil {
		t.Fatal(err)
	}
	// A new container of the same node, then a machine of another zone, then the running container of one with a third.
	for _, zone := range []string{"UTC", "CET", "JST"} {
		for _, name := range []string{"localtime", "timezone"} {
			if zone == "JST" {
				write(t, filepath.Join(given, name), zone)
				continue
			}
			if err := os.Remove(filepath.Join(etc, name)); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(etc, name), zone)
		}
		if zone != "JST" { // there the link is right already
			write(t, filepath.Join(etc, "localtime.link"), "of an agent that was killed")
		}
		move()
		move()
		holds(zone)
		after, err := os.Stat(filepath.Join(kept, "localtime"))
		if err != nil || os.SameFile(before, after) != (zone == "UTC") {
			t.Errorf("%s: the file of running pods was replaced: %v (%v)", zone, !os.SameFile(before, after), err)
		}
	}
}
