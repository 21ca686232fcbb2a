// Package truststore has the places in which a machine and its browsers keep the authorities that they trust, and how one gets
// there and back: as commands, so that they can be shown to somebody who has to run them as root.
//
// The system's store is that of Debian, Fedora, Arch, openSUSE or macOS. Chromium and Firefox on Linux do not read it, but have
// databases of NSS, one for each user and for each profile. Begin reading at Find and Store.
package truststore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Machine is what is asked of a machine.
type Machine interface {
	// OS is runtime.GOOS.
	OS() string
	// Home is the user's folder.
	Home() string
	// Root says that the user may write what is the system's.
	Root() bool
	Exists(path string) bool
	Glob(pattern string) []string
	Read(path string) ([]byte, error)
	// Has says whether there is a program of that name.
	Has(program string) bool
	// Run runs a command, and returns what it has printed. An error without ExitCode means that it could not be run.
	Run(ctx context.Context, args []string) (out string, err error)
}

// Command is a program and its arguments. Root says that it needs root's rights, and the user does not have them.
type Command struct {
	Args []string
	Root bool
}

// String is the command for a shell, with sudo if it needs that.
func (c Command) String() string {
	var b strings.Builder
	if c.Root {
		b.WriteString("sudo ")
	}
	for i, a := range c.Args {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quote(a))
	}
	return b.String()
}

// quote writes an argument as a POSIX shell reads it.
func quote(arg string) string {
	if arg != "" && !strings.ContainsFunc(arg, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./:,=@%+", r)
	}) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

// Certificate is an authority's, and the file that it is in.
type Certificate struct {
	File string
	*x509.Certificate
}

// label is its name in stores, which no other authority has.
func (c Certificate) label() string { return c.Subject.CommonName }

// fileName is that of a copy in a folder of the system's.
func (c Certificate) fileName(extension string) string {
	sum := sha256.Sum256(c.Raw)
	return "bonsai-" + hex.EncodeToString(sum[:4]) + extension
}

// Store is a place for authorities that are trusted.
type Store struct {
	// Name is for people: "the system", "Firefox profile abc.default".
	Name string
	// Where is the folder, or the keychain.
	Where string
	// Needs is the package with the program that the store needs and this machine lacks, as a command that installs it; empty if
	// nothing is missing.
	Needs *Command
	kind  kind
}

// kind is how a store works.
type kind interface {
	has(ctx context.Context, m Machine, where string, c Certificate) (bool, error)
	add(m Machine, where string, c Certificate) []Command
	remove(m Machine, where string, c Certificate) []Command
}

// Has says whether a certificate is in the store. It is known only if the store needs nothing.
func (s Store) Has(ctx context.Context, m Machine, c Certificate) (bool, error) {
	if s.Needs != nil {
		return false, nil
	}
	ok, err := s.kind.has(ctx, m, s.Where, c)
	if err != nil {
		return false, fmt.Errorf("look into %s: %w", s.Where, err)
	}
	return ok, nil
}

// Add are the commands that bring a certificate into the store, and Remove those that take it out.
func (s Store) Add(m Machine, c Certificate) []Command    { return s.kind.add(m, s.Where, c) }
func (s Store) Remove(m Machine, c Certificate) []Command { return s.kind.remove(m, s.Where, c) }

// Find returns the stores of a machine: the system's first.
func Find(m Machine) []Store {
	if m.OS() == "darwin" {
		return append([]Store{{Name: "the login keychain", Where: filepath.Join(m.Home(), "Library/Keychains/login.keychain-db"), kind: keychain{}}}, nss(m)...)
	}
	var all []Store
	for _, s := range systems {
		if m.Exists(s.folder) && m.Has(s.update[0]) {
			all = append(all, Store{Name: "the system", Where: s.folder, kind: s})
			break
		}
	}
	return append(all, nss(m)...)
}

// system is a folder of certificates, with a program that collects them for all others.
type system struct {
	folder, extension string
	// update is run after something was added, refresh after something was removed.
	update, refresh []string
}

// systems are those of distributions; the first that a machine has is its own.
var systems = []system{
	// Debian and Ubuntu, update-ca-certificates(8): files end with .crt, and links to what is gone are removed by --fresh only.
	{"/usr/local/share/ca-certificates", ".crt", []string{"update-ca-certificates"}, []string{"update-ca-certificates", "--fresh"}},
	// Fedora and RHEL, update-ca-trust(8).
	{"/etc/pki/ca-trust/source/anchors", ".pem", []string{"update-ca-trust", "extract"}, []string{"update-ca-trust", "extract"}},
	// Arch: the same program of another folder.
	{"/etc/ca-certificates/trust-source/anchors", ".crt", []string{"update-ca-trust", "extract"}, []string{"update-ca-trust", "extract"}},
	// openSUSE, update-ca-certificates(8) of its own.
	{"/etc/pki/trust/anchors", ".pem", []string{"update-ca-certificates"}, []string{"update-ca-certificates", "--fresh"}},
}

func (s system) has(_ context.Context, m Machine, where string, c Certificate) (bool, error) {
	path := filepath.Join(where, c.fileName(s.extension))
	if !m.Exists(path) {
		return false, nil
	}
	data, err := m.Read(path)
	if err != nil {
		return false, err
	}
	block, _ := pem.Decode(data)
	return block != nil && bytes.Equal(block.Bytes, c.Raw), nil
}

func (s system) add(m Machine, where string, c Certificate) []Command {
	return []Command{
		{Args: []string{"install", "-m", "0644", c.File, filepath.Join(where, c.fileName(s.extension))}, Root: !m.Root()},
		{Args: s.update, Root: !m.Root()},
	}
}

func (s system) remove(m Machine, where string, c Certificate) []Command {
	return []Command{{Args: []string{"rm", "-f", filepath.Join(where, c.fileName(s.extension))}, Root: !m.Root()}, {Args: s.refresh, Root: !m.Root()}}
}

// keychain is that of a user of macOS; Safari and Chrome read it. The system asks for the user's password.
type keychain struct{}

func (keychain) has(ctx context.Context, m Machine, where string, c Certificate) (bool, error) {
	out, err := m.Run(ctx, []string{"security", "find-certificate", "-a", "-c", c.label(), "-p", where})
	if err != nil && !exited(err) {
		return false, err
	}
	for rest := []byte(out); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return false, nil
		}
		if bytes.Equal(block.Bytes, c.Raw) {
			return true, nil
		}
	}
}

func (keychain) add(_ Machine, where string, c Certificate) []Command {
	return []Command{{Args: []string{"security", "add-trusted-cert", "-r", "trustRoot", "-k", where, c.File}}}
}

func (keychain) remove(_ Machine, where string, c Certificate) []Command {
	return []Command{{Args: []string{"security", "remove-trusted-cert", c.File}}, {Args: []string{"security", "delete-certificate", "-c", c.label(), where}}}
}

// database is one of NSS, in its form for several programs at once (sql).
type database struct{}

const certutil = "certutil"

func (database) has(ctx context.Context, m Machine, where string, c Certificate) (bool, error) {
	if !m.Exists(filepath.Join(where, "cert9.db")) {
		return false, nil
	}
	out, err := m.Run(ctx, []string{certutil, "-L", "-d", "sql:" + where, "-n", c.label(), "-a"})
	if exited(err) { // there is none of that name, or the database cannot be read
		if _, err = m.Run(ctx, []string{certutil, "-L", "-d", "sql:" + where}); err == nil {
			return false, nil
		}
	}
	if err != nil {
		return false, err
	}
	block, _ := pem.Decode([]byte(out))
	return block != nil && bytes.Equal(block.Bytes, c.Raw), nil
}

func (database) add(m Machine, where string, c Certificate) []Command {
	var all []Command
	if !m.Exists(filepath.Join(where, "cert9.db")) { // a browser that has not been started yet makes it like this
		all = append(all, Command{Args: []string{"mkdir", "-p", "-m", "0700", where}}, Command{Args: []string{certutil, "-N", "-d", "sql:" + where, "--empty-password"}})
	}
	// C: an authority for servers, and for nothing else.
	return append(all, Command{Args: []string{certutil, "-A", "-d", "sql:" + where, "-t", "C,,", "-n", c.label(), "-i", c.File}})
}

func (database) remove(_ Machine, where string, c Certificate) []Command {
	return []Command{{Args: []string{certutil, "-D", "-d", "sql:" + where, "-n", c.label()}}}
}

// exited says whether an error is that a program was run, and has failed.
func exited(err error) bool {
	_, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](err)
	return ok
}

// chromiums are programs that read the user's database of NSS.
var chromiums = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "brave-browser", "microsoft-edge", "vivaldi"}

// profiles are where Firefox and its relatives have their profiles, below the user's folder: as packages of distributions, of snap
// and of flatpak.
var profiles = []string{
	".mozilla/firefox/*", ".config/mozilla/firefox/*", "snap/firefox/common/.mozilla/firefox/*", ".var/app/org.mozilla.firefox/.mozilla/firefox/*",
	".librewolf/*", ".thunderbird/*", "Library/Application Support/Firefox/Profiles/*",
}

// databases are where Chromium and its relatives have theirs, if they have been started.
var databases = []string{"snap/chromium/current/.pki/nssdb", ".var/app/*/.pki/nssdb"}

// nss are the databases of NSS of a user.
func nss(m Machine) []Store {
	var all []Store
	home := m.Home()
	if home == "" {
		return nil
	}
	add := func(name, where string) {
		all = append(all, Store{Name: name, Where: where, kind: database{}, Needs: needed(m)})
	}
	shared := filepath.Join(home, ".pki/nssdb")
	if m.OS() != "darwin" && (m.Exists(filepath.Join(shared, "cert9.db")) || slices.ContainsFunc(chromiums, m.Has)) {
		add("Chromium and Chrome", shared)
	}
	for _, pattern := range databases {
		for _, where := range sorted(m.Glob(filepath.Join(home, pattern))) {
			if m.Exists(filepath.Join(where, "cert9.db")) {
				add("Chromium in "+app(home, where), where)
			}
		}
	}
	for _, pattern := range profiles {
		for _, where := range sorted(m.Glob(filepath.Join(home, pattern))) {
			if m.Exists(filepath.Join(where, "cert9.db")) {
				add(program(pattern)+" profile "+filepath.Base(where), where)
			}
		}
	}
	return all
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// app is what a folder is of: a snap, or a flatpak.
func app(home, where string) string {
	rest, _ := filepath.Rel(home, where)
	parts := strings.Split(filepath.ToSlash(rest), "/")
	if parts[0] == "snap" {
		return "snap"
	}
	return "flatpak " + parts[min(2, len(parts)-1)]
}

// program is whose profiles a pattern finds.
func program(pattern string) string {
	for name, text := range map[string]string{"Thunderbird": "thunderbird", "LibreWolf": "librewolf"} {
		if strings.Contains(pattern, text) {
			return name
		}
	}
	return "Firefox"
}

// needed is the command that installs certutil; nil if it is there.
func needed(m Machine) *Command {
	if m.Has(certutil) {
		return nil
	}
	for _, by := range [][]string{
		{"apt-get", "install", "-y", "libnss3-tools"}, {"dnf", "install", "-y", "nss-tools"}, {"pacman", "-S", "--noconfirm", "nss"},
		{"zypper", "install", "-y", "mozilla-nss-tools"}, {"apk", "add", "nss-tools"},
	} {
		if m.Has(by[0]) {
			return &Command{Args: by, Root: !m.Root()}
		}
	}
	return &Command{Args: []string{"brew", "install", "nss"}}
}
