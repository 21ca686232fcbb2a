package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/statedir"
)

// uiFile is the name of the user's settings in the state folder.
const uiFile = "ui.yaml"

// uiSettings are the contents of uiFile; a flag of the same name overrides them.
type uiSettings struct {
	Theme    string    `yaml:"theme"`
	Color    string    `yaml:"color"`
	Lang     string    `yaml:"lang"`
	Screen   string    `yaml:"screen"`
	ASCII    bool      `yaml:"ascii"`
	Calm     bool      `yaml:"calm"`
	ReadOnly bool      `yaml:"readonly"`
	Keys     yaml.Node `yaml:"keys"` // the UI knows the actions
}

func loadUISettings(dir statedir.Dir) (s uiSettings, err error) {
	path := filepath.Join(dir.Root, uiFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fault.New(fault.State, "read "+path, err)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return s, fault.New(fault.Usage, "read "+path, err).Advise("docs/ui.md says what can be in it; without the file the defaults apply")
	}
	return s, checkUISettings("in "+path+" ", s)
}

// checkUISettings refuses invalid settings; where is the beginning of the message.
func checkUISettings(where string, s uiSettings) error {
	var errs []error
	one := func(name, value string, of []string) {
		if value != "" && !slices.Contains(of, value) {
			errs = append(errs, fault.Newf(fault.Usage, "%s%s %q is not one of %s", where, name, value, strings.Join(of, ", ")))
		}
	}
	one("theme", s.Theme, uiThemes)
	one("color", s.Color, append([]string{"auto"}, colorNames...))
	one("screen", s.Screen, uiScreens)
	one("lang", s.Lang, uiLanguages)
	return errors.Join(errs...)
}

// over returns base with everything that is set in s.
func (s uiSettings) over(base uiSettings) uiSettings {
	return uiSettings{
		Theme: cmp.Or(s.Theme, base.Theme), Color: cmp.Or(s.Color, base.Color), Lang: cmp.Or(s.Lang, base.Lang), Screen: cmp.Or(s.Screen, base.Screen),
		ASCII: s.ASCII || base.ASCII, Calm: s.Calm || base.Calm, ReadOnly: s.ReadOnly || base.ReadOnly, Keys: base.Keys,
	}
}

// keys are the user's keys as the UI reads them.
func (s uiSettings) keys() ([]byte, error) {
	if s.Keys.IsZero() {
		return nil, nil
	}
	data, err := yaml.Marshal(&s.Keys)
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", uiFile, err)
	}
	return data, nil
}

// The valid values of flags and settings. The command line does not link the terminal UI; a test compares them with its
// own.
var (
	uiThemes    = []string{"auto", "dark", "light", "high-contrast", "colour-blind", "mono"}
	uiScreens   = []string{"overview", "nodes", "pods", "logs", "events", "dns", "addons", "control", "ports"}
	uiLanguages = []string{"en", "zh"}
)
