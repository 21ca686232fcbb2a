// Package dockerlogins has the logins of the machine's Docker configuration: what docker login has written, and its credential
// helpers. Without such a configuration, Podman's is read.
package dockerlogins

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"bonsai/bootstrap/registryclient"
	"bonsai/bootstrap/wait"
)

const (
	// helperLimit is how long a credential helper may take. Some ask their user, whom nobody sees here.
	helperLimit = 10 * time.Second
	// kept is how long the answer of a helper is used: it is a process each time.
	kept = 5 * time.Minute
)

// Logins are those of one user. They are safe for concurrent use.
type Logins struct {
	keychain authn.Keychain
	scale    wait.Scale

	mu    sync.Mutex // guards the rest
	known map[string]knownLogin
	// asking are the questions that nobody has answered yet.
	asking map[string]*question
}

// question is one that is being asked, for everybody who wants the answer.
type question struct {
	done   chan struct{} // closed when answer is set
	answer knownLogin
}

// maxKnown bounds what is kept: pods name registries.
const maxKnown = 1000

type knownLogin struct {
	login registryclient.Login
	err   error
	until time.Time
}

// New returns the logins of the user whose process this is.
func New(scale wait.Scale) *Logins {
	return &Logins{keychain: authn.DefaultKeychain, scale: scale, known: map[string]knownLogin{}, asking: map[string]*question{}}
}

// Login returns what to log in with at a registry, nothing if the configuration does not have that.
func (d *Logins) Login(ctx context.Context, registry string) (registryclient.Login, error) {
	d.mu.Lock()
	k, ok := d.known[registry]
	if ok && time.Now().Before(k.until) {
		d.mu.Unlock()
		return k.login, k.err
	}
	q := d.asking[registry]
	if q == nil {
		q = &question{done: make(chan struct{})}
		d.asking[registry] = q
		// It cannot be interrupted: a helper that hangs outlives this call, and is asked once at a time.
		go d.answer(registry, q)
	}
	d.mu.Unlock()
	limit := time.NewTimer(d.scale.Of(helperLimit))
	defer limit.Stop()
	select {
	case <-q.done:
		return q.answer.login, q.answer.err
	case <-ctx.Done():
		return registryclient.Login{}, context.Cause(ctx)
	case <-limit.C:
		return registryclient.Login{}, fmt.Errorf("the credential helper of Docker's configuration does not answer for %s", registry)
	}
}

// answer answers a question.
func (d *Logins) answer(registry string, q *question) {
	login, err := d.ask(registry)
	d.mu.Lock()
	defer d.mu.Unlock()
	q.answer = knownLogin{login, err, time.Now().Add(kept)}
	if len(d.known) >= maxKnown {
		clear(d.known)
	}
	d.known[registry] = q.answer
	delete(d.asking, registry)
	close(q.done)
}

func (d *Logins) ask(registry string) (registryclient.Login, error) {
	r, err := name.NewRegistry(registry)
	if err != nil {
		return registryclient.Login{}, err
	}
	a, err := d.keychain.Resolve(r)
	if err != nil {
		return registryclient.Login{}, fmt.Errorf("read Docker's configuration: %w", err)
	}
	config, err := a.Authorization()
	if err != nil {
		return registryclient.Login{}, fmt.Errorf("read Docker's configuration: %w", err)
	}
	return registryclient.Login{Username: config.Username, Password: config.Password, Refresh: config.IdentityToken, Bearer: config.RegistryToken}, nil
}
