package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// The two ways to a static executable.
const (
	goStatic  = "CGO_ENABLED=0"
	cgoStatic = "CGO_ENABLED=1"
)

// goBuild compiles packages into the folder dir, each under its own name. GOFLAGS are those of the caller.
func goBuild(ctx context.Context, dir, cgo, tags, ldflags string, packages ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-tags", tags, "-ldflags", ldflags, "-o", dir + "/"}
	cmd := exec.CommandContext(ctx, "go", append(args, packages...)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", cgo)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// output runs a command and returns what it printed. Its error output is part of the error.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	cmd.Env = append(os.Environ(), "LC_ALL=C") // apt's output is parsed
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// module is one module of the build list.
type module struct{ Path, Version, Dir string }

// moduleVersions returns the versions that go.mod selects.
func moduleVersions(ctx context.Context, paths ...string) (map[string]string, error) {
	out, err := output(ctx, "", "go", append([]string{"list", "-m", "-f", "{{.Path}} {{.Version}}"}, paths...)...)
	if err != nil {
		return nil, err
	}
	versions := map[string]string{}
	for line := range strings.Lines(out) {
		path, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		versions[path] = version
	}
	return versions, nil
}

// moduleDir returns the folder of a module's source. It downloads the module first if no compilation has needed it yet,
// as on a machine that has never built bonsai; in that case "go list -m" would not return a folder.
func moduleDir(ctx context.Context, path string) (string, error) {
	out, err := output(ctx, "", "go", "mod", "download", "-json", path)
	if err != nil {
		return "", err
	}
	var m module
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		return "", fmt.Errorf("find the module %s: %w", path, err)
	}
	if m.Dir == "" {
		return "", fmt.Errorf("the go command names no folder for the module %s", path)
	}
	return m.Dir, nil
}

// linkedModules returns the modules that packages link, sorted by path, without this module itself.
func linkedModules(ctx context.Context, packages ...string) ([]module, error) {
	args := []string{"list", "-deps", "-f", `{{with .Module}}{{if not .Main}}{{with .Replace}}{{.Path}} {{.Version}} {{.Dir}}{{else}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}{{end}}`}
	out, err := output(ctx, "", "go", append(args, packages...)...)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(lines)
	var modules []module
	for _, line := range slices.Compact(lines) {
		if f := strings.SplitN(line, " ", 3); len(f) == 3 {
			modules = append(modules, module{Path: f[0], Version: f[1], Dir: f[2]})
		}
	}
	return modules, nil
}

// moduleLicences copies the licence and notice files of all modules that packages link, and of Go itself.
func moduleLicences(ctx context.Context, dir string, packages ...string) error {
	modules, err := linkedModules(ctx, packages...)
	if err != nil {
		return err
	}
	env, err := output(ctx, "", "go", "env", "-json", "GOROOT", "GOVERSION")
	if err != nil {
		return err
	}
	var golang struct{ GOROOT, GOVERSION string }
	if err := json.Unmarshal([]byte(env), &golang); err != nil {
		return err
	}
	modules = append(modules, module{Path: "go", Version: golang.GOVERSION, Dir: golang.GOROOT})
	for _, m := range modules {
		names, err := os.ReadDir(m.Dir)
		if err != nil {
			return err
		}
		found := false
		for _, name := range names {
			if name.IsDir() || !isLicence(name.Name()) {
				continue
			}
			found = true
			if err := copyFile(filepath.Join(dir, m.Path+"@"+m.Version, name.Name()), filepath.Join(m.Dir, name.Name()), 0o644); err != nil {
				return err
			}
		}
		// Some distributions' Go comes without its licence file; we must not ship a module without one.
		if !found && m.Path != "go" {
			return fmt.Errorf("module %s has no licence file in %s", m.Path, m.Dir)
		}
	}
	return nil
}

func isLicence(name string) bool {
	name = strings.ToUpper(name)
	for _, prefix := range []string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT", "PATENTS"} {
		if strings.HasPrefix(name, prefix) && !strings.HasSuffix(name, ".GO") {
			return true
		}
	}
	return false
}

// copyFile copies one file, through symlinks, and makes folders as needed.
func copyFile(to, from string, mode os.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// symlink creates a link unless it exists.
func symlink(target, name string) error {
	if err := os.Symlink(target, name); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}
