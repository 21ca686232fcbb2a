package bonsaitest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program is the name of the executable.
const program = "bonsai"

// findExecutable returns the file of bonsai to run: the named one, or that of the environment, of the module, or in PATH.
func findExecutable(ctx context.Context, named string) (string, error) {
	for _, path := range []string{named, os.Getenv(EnvExecutable)} {
		if path == "" {
			continue
		}
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("the executable %s cannot be run: %w", path, err)
		}
		return filepath.Abs(found)
	}
	root := moduleRoot()
	if root != "" {
		if path, err := exec.LookPath(filepath.Join(root, "bin", program)); err == nil {
			return path, nil
		}
	}
	if path, err := exec.LookPath(program); err == nil {
		return filepath.Abs(path)
	}
	if root != "" && hasTool(filepath.Join(root, "go.mod")) {
		return goTool(ctx, root)
	}
	return "", errors.New("there is no bonsai: install it into PATH or into the folder bin beside go.mod, or name it in " + EnvExecutable)
}

// moduleRoot is the folder of the go.mod that applies here, "" if there is none. Tests run in the folder of their package.
func moduleRoot() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// hasTool reports whether a go.mod has bonsai as a tool.
func hasTool(file string) bool {
	data, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	block := false
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "//")
		fields := strings.Fields(line)
		switch {
		case len(fields) == 2 && fields[0] == "tool" && fields[1] == "(":
			block = true
		case len(fields) == 1 && fields[0] == ")":
			block = false
		case len(fields) == 2 && fields[0] == "tool" && isProgram(fields[1]), block && len(fields) == 1 && isProgram(fields[0]):
			return true
		}
	}
	return false
}

func isProgram(path string) bool { return path == program || strings.HasSuffix(path, "/"+program) }

// goTool has go build the tool, which takes long for the first time, and returns its file.
func goTool(ctx context.Context, root string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", program)
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go tool -n %s: %w\n%s", program, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
