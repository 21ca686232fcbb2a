package dockerlogins

import (
	"os"
	"path/filepath"
	"testing"

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
