package dockerlogins

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-containerregistry/pkg/authn"
	"go.uber.org/goleak"

	"bonsai/bootstrap/registryclient"
	"bonsai/bootstrap/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A configuration with logins, and with helpers for other registries.
func TestLogins(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for name, text := range map[string]string{
		"config.json": `{"auths":{"ghcr.io":{"auth":"YW5uOnNlY3JldA=="},"https://index.docker.io/v1/":{"auth":"aHViOnB3"}},
			"credHelpers":{"ecr.test":"ecr","broken.test":"missing"}}`,
		"docker-credential-ecr": "#!/bin/sh\nread registry\necho x >>" + dir + "/asked\necho '{\"ServerURL\":\"'$registry'\",\"Username\":\"helped\",\"Secret\":\"by \"}'\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d := New(wait.FromEnv())
	for registry, want := range map[string]registryclient.Login{
		"ghcr.io": {Username: "ann", Password: "secret"}, registryclient.Hub: {Username: "hub", Password: "pw"},
		"ecr.test": {Username: "helped", Password: "by "}, "nobody.test": {},
	} {
		for range 2 {
			if got, err := d.Login(t.Context(), registry); err != nil || got != want {
				t.Errorf("%s: got %+v, %v", registry, got, err)
			}
		}
	}
	if asked, err := os.ReadFile(filepath.Join(dir, "asked")); err != nil || string(asked) != "x\n" {
		t.Errorf("the helper was asked %q, %v", asked, err)
	}
	if got, err := d.Login(t.Context(), "broken.test"); err == nil && !got.None() {
		t.Errorf("got %+v", got)
	}
}

// hanging is a configuration whose helper does not answer until it may.
type hanging struct {
	mu    sync.Mutex // guards asked
	asked int
	may   chan struct{}
}

func (h *hanging) Resolve(authn.Resource) (authn.Authenticator, error) {
	h.mu.Lock()
	h.asked++
	h.mu.Unlock()
	<-h.may
	return authn.FromConfig(authn.AuthConfig{Username: "ann"}), nil
}

// TestAHelperThatHangs is asked once, whoever waits for it: each time is a process that stays.
func TestAHelperThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{may: make(chan struct{})}
		d := New(1)
		d.keychain = h
		for range 3 {
			if _, err := d.Login(t.Context(), "slow.test"); err == nil {
				t.Error("it waited without a limit")
			}
		}
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				if l, err := d.Login(t.Context(), "slow.test"); err != nil || l.Username != "ann" {
					t.Errorf("got %+v, %v", l, err)
				}
			})
		}
		synctest.Wait()
		close(h.may)
		waiting.Wait()
		if h.asked != 1 {
			t.Errorf("it was asked %d times", h.asked)
		}
	})
}
