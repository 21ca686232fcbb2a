package bootstrap

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/localca"
	"bonsai/bootstrap/localca/truststore"
)

// storeLimit bounds a command that changes a store: Debian's reads all certificates again, and macOS asks for a password.
const storeLimit = 3 * time.Minute

// LocalCA is the authority of the state folder, and where it is trusted.
type LocalCA struct {
	Name        string    `json:"name"`
	File        string    `json:"file"`
	Fingerprint string    `json:"sha256"`
	Until       time.Time `json:"until"`
	// Domains are those below which it signs names.
	Domains []string  `json:"domains"`
	Stores  []CAStore `json:"stores"`
	// PEM is its certificate.
	PEM []byte `json:"-"`
}

// StoreState is what a store has of an authority, or what has become of it.
type StoreState string

// The states of a store.
const (
	StoreTrusts    StoreState = "trusted"
	StoreDoesNot   StoreState = "not trusted"
	StoreIsUnknown StoreState = "unknown" // the program that looks is missing
	StoreByHand    StoreState = "by hand" // somebody has to run Commands
	StoreChanged   StoreState = "changed"
	StoreFailed    StoreState = "failed"
)

// CAStore is a place in which this machine or a browser keeps authorities that it trusts.
type CAStore struct {
	Name  string     `json:"name"`
	Where string     `json:"where"`
	State StoreState `json:"state"`
	// Old says that an authority is there that another one has replaced.
	Old bool `json:"old,omitempty"`
	// Commands are what has to be run by hand, for a shell.
	Commands []string `json:"commands,omitempty"`
	Reason   string   `json:"reason,omitempty"`
}

// LocalCA returns the authority of the state folder, which is made if there is none, and where it is trusted.
func (m *Manager) LocalCA(ctx context.Context) (LocalCA, error) {
	dir := m.env.Dir.LocalCA()
	a, err := localca.Ensure(ctx, dir)
	if err != nil {
		return LocalCA{}, err
	}
	ca := LocalCA{
		Name: a.Certificate.Subject.CommonName, File: localca.File(dir), Fingerprint: localca.Fingerprint(a.Certificate), Until: a.Certificate.NotAfter,
		Domains: localca.Domains(), PEM: a.PEM(), Stores: []CAStore{},
	}
	t := m.trusting(nil)
	current := truststore.Certificate{File: ca.File, Certificate: a.Certificate}
	for _, s := range truststore.Find(t.machine) {
		one := CAStore{Name: s.Name, Where: s.Where, State: StoreDoesNot}
		has, err := s.Has(ctx, t.machine, current)
		switch {
		case s.Needs != nil:
			one.State, one.Commands = StoreIsUnknown, []string{s.Needs.String()}
		case err != nil:
			one.State, one.Reason = StoreFailed, err.Error()
		case has:
			one.State = StoreTrusts
		}
		for _, c := range t.old {
			if has, err := s.Has(ctx, t.machine, c); err == nil && has {
				one.Old = true
			}
		}
		ca.Stores = append(ca.Stores, one)
	}
	return ca, nil
}

// TrustLocalCA has this machine and the user's browsers trust the authority, which is made if there is none. What needs rights or
// programs that are missing is left to the user, as commands; with dry all of it is. Stores that have it already are not touched,
// and earlier authorities are taken out.
func (m *Manager) TrustLocalCA(ctx context.Context, dry bool) ([]CAStore, error) {
	dir := m.env.Dir.LocalCA()
	a, err := localca.Ensure(ctx, dir)
	if err != nil {
		return nil, err
	}
	t := m.trusting(&truststore.Certificate{File: localca.File(dir), Certificate: a.Certificate})
	t.dry = dry
	return t.all(ctx, dir)
}

// UntrustLocalCA takes the authority, and earlier ones, out of all stores. It stays in the state folder, and clusters go on with it.
func (m *Manager) UntrustLocalCA(ctx context.Context, dry bool) ([]CAStore, error) {
	t := m.trusting(nil)
	t.dry = dry
	dir := m.env.Dir.LocalCA()
	if cert, err := localca.Current(dir); err == nil {
		t.old = append(t.old, truststore.Certificate{File: localca.File(dir), Certificate: cert})
	}
	return t.all(ctx, dir)
}

// trusting brings an authority into stores, and others out of them.
type trusting struct {
	m       *Manager
	machine truststore.Machine
	dry     bool
	add     *truststore.Certificate // nil if there is none
	old     []truststore.Certificate
}

func (m *Manager) trusting(add *truststore.Certificate) *trusting {
	t := &trusting{m: m, machine: m.env.Trust, add: add}
	if t.machine == nil {
		t.machine = truststore.NewHere()
	}
	certs := localca.Old(m.env.Dir.LocalCA())
	for _, file := range slices.Sorted(maps.Keys(certs)) {
		t.old = append(t.old, truststore.Certificate{File: file, Certificate: certs[file]})
	}
	return t
}

// all changes every store. The error says that some have failed, which the list says of each.
func (t *trusting) all(ctx context.Context, dir string) ([]CAStore, error) {
	list := []CAStore{}
	var failed []string
	settled := true // nothing is left of earlier authorities
	for _, s := range truststore.Find(t.machine) {
		one := t.store(ctx, s)
		if one.State == StoreFailed {
			failed = append(failed, fmt.Sprintf("%s: %s", one.Name, one.Reason))
		}
		settled = settled && (one.State == StoreTrusts || one.State == StoreDoesNot || one.State == StoreChanged)
		list = append(list, one)
	}
	if settled && !t.dry {
		for _, c := range t.old {
			if c.File != localca.File(dir) {
				if err := localca.ForgetOld(c.File); err != nil {
					return list, err
				}
			}
		}
	}
	if len(failed) > 0 {
		return list, fault.Newf(fault.Machine, "the trust in the local CA could not be changed everywhere: %s", strings.Join(failed, "; ")).
			Advise("do it by hand with the commands above, or close the browser and try again")
	}
	return list, ctx.Err()
}

// store changes one.
func (t *trusting) store(ctx context.Context, s truststore.Store) CAStore {
	one := CAStore{Name: s.Name, Where: s.Where, State: StoreDoesNot}
	if t.add != nil {
		one.State = StoreTrusts
	}
	var commands []truststore.Command
	look := func(c truststore.Certificate, want bool, change func(truststore.Machine, truststore.Certificate) []truststore.Command) {
		has, err := s.Has(ctx, t.machine, c)
		switch {
		case err != nil && one.Reason == "":
			one.State, one.Reason = StoreFailed, err.Error()
		case err == nil && has != want:
			commands = append(commands, change(t.machine, c)...)
		}
	}
	if s.Needs != nil {
		one.State = StoreIsUnknown
		if t.add != nil {
			one.State, commands = StoreByHand, append([]truststore.Command{*s.Needs}, s.Add(t.machine, *t.add)...)
		}
		one.Commands = texts(commands)
		return one
	}
	for _, c := range t.old {
		look(c, false, s.Remove)
	}
	if t.add != nil {
		look(*t.add, true, s.Add)
	}
	if one.State == StoreFailed || len(commands) == 0 {
		return one
	}
	if t.dry || slices.ContainsFunc(commands, func(c truststore.Command) bool { return c.Root }) {
		one.State, one.Commands = StoreByHand, texts(commands)
		return one
	}
	one.State = StoreChanged
	for _, c := range commands {
		if err := t.run(ctx, c); err != nil {
			one.State, one.Reason, one.Commands = StoreFailed, err.Error(), texts(commands)
			return one
		}
	}
	return one
}

func (t *trusting) run(ctx context.Context, c truststore.Command) error {
	ctx, cancel := t.m.limit(ctx, storeLimit, c.Args[0])
	defer cancel()
	t.m.env.Log.Debug("run", "command", c.String())
	out, err := t.machine.Run(ctx, c.Args)
	if err == nil {
		return nil
	}
	if lines := strings.Split(strings.TrimSpace(out), "\n"); lines[len(lines)-1] != "" {
		return fmt.Errorf("%s: %w: %s", c, err, lines[len(lines)-1])
	}
	return fmt.Errorf("%s: %w", c, err)
}

func texts(commands []truststore.Command) []string {
	var all []string
	for _, c := range commands {
		all = append(all, c.String())
	}
	return all
}
