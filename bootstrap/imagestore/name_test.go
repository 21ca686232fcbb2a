package imagestore

import "testing"

func TestFullName(t *testing.T) {
	for ref, want := range map[string]string{
		"app":                        "docker.io/library/app:latest",
		"app:dev":                    "docker.io/library/app:dev",
		"me/app":                     "docker.io/me/app:latest",
		"docker.io/app:1":            "docker.io/library/app:1",
		"localhost/app":              "localhost/app:latest",
		"localhost:5000/app":         "localhost:5000/app:latest",
		"ghcr.io/a/b:1":              "ghcr.io/a/b:1",
		"app@sha256:00":              "docker.io/library/app@sha256:00",
		"registry.test/a:1@sha256:0": "registry.test/a@sha256:0",
	} {
		if got := FullName(ref); got != want {
			t.Errorf("%s is completed to %s, want %s", ref, got, want)
		}
	}
}
