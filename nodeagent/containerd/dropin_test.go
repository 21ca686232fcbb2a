package containerd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDropInsAreChecked: with what containerd 2.4.2 prints. The test of whole nodes has the real one.
func TestDropInsAreChecked(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "containerd")
	says := func(code, text string) {
		t.Helper()
		script := "#!/bin/sh\n[ \"$1 $3 $4\" = '--config config dump' ] || exit 9\ncat >&2 <<'END'\n" + text + "END\nexit " + code + "\n"
		if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	check := func() string {
		if err := checkDropIns(t.Context(), program, "/etc/containerd/config.toml", filepath.Join(dir, "*.toml")); err != nil {
			return err.Error()
		}
		return ""
	}
	says("1", "containerd: without files it is not asked\n")
	if got := check(); got != "" {
		t.Errorf("without files: %s", got)
	}
	file := filepath.Join(dir, "10-mine.toml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const at = `time="2026-11-29T19:43:01Z" level=`
	for name, c := range map[string]struct{ code, text, want string }{
		"good": {"0", at + "warning msg=\"Configuration migrated from version 3, use `containerd config migrate` to avoid migration\" t=\"10.683µs\"\n", ""},
		"not TOML": {"1", at + "error msg=\"Failure unmarshaling TOML\" column=39 error=\"toml: expected ']' to close table name\" file=/x/10.toml row=2\n" +
			"containerd: failed to unmarshal TOML at row 2 column 39: toml: expected ']' to close table name\n", "failed to unmarshal TOML at row 2 column 39"},
		"unknown": {"0", at + "warning msg=\"Ignoring unknown key in TOML for plugin\" error=\"strict mode: fields in the document are missing in the target struct\" key=max_concurrent_downloadz plugin=io.containerd.cri.v1.images\n",
			"unknown setting max_concurrent_downloadz of io.containerd.cri.v1.images"},
		"unknown, of no plugin": {"0", at + "warning msg=\"Ignoring unknown key in TOML\" column=1 error=\"strict mode: fields in the document are missing in the target struct\" file=/x/10.toml key=nonsense row=2\n", "unknown setting nonsense"},
		"silent":                {"3", "", "exit status 3"},
	} {
		says(c.code, c.text)
		if got := check(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) || c.want != "" && !strings.Contains(got, file) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
