// Package guest is the program inside the nodes of driver tests: small commands by which a test sees and changes
// what a container has. The real one is guest/init; engines in memory call Run on their own files.
package guest

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Files is what commands read and write.
type Files interface {
	ReadFile(path string) ([]byte, error)
	// WriteFile makes folders as needed.
	WriteFile(path string, data []byte) error
	Stat(path string) (fs.FileMode, error)
}

// Run runs one command and returns its exit code:
//
//	cat PATH · write PATH TEXT · mode PATH · exit CODE · upper (of the input) · both (outputs) · env NAME
func Run(f Files, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, "no command")
		return 125
	}
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	var err error
	switch args[0] {
	case "cat":
		var data []byte
		data, err = f.ReadFile(arg(1))
		_, _ = stdout.Write(data)
	case "write":
		err = f.WriteFile(arg(1), []byte(arg(2)))
	case "mode":
		var mode fs.FileMode
		mode, err = f.Stat(arg(1))
		fmt.Fprintf(stdout, "%o", mode.Perm())
	case "exit":
		code, _ := strconv.Atoi(arg(1))
		return code
	case "upper":
		var data []byte
		data, err = io.ReadAll(stdin) // returns only if the end of the input arrives
		fmt.Fprint(stdout, strings.ToUpper(string(data)))
	case "both":
		fmt.Fprint(stdout, "to stdout")
		fmt.Fprint(stderr, "to stderr")
	case "env":
		for _, e := range env {
			if v, ok := strings.CutPrefix(e, arg(1)+"="); ok {
				fmt.Fprint(stdout, v)
			}
		}
	default:
		err = fmt.Errorf("unknown command %q", args[0])
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// OS are the files of this process.
type OS struct{}

// ReadFile implements Files.
func (OS) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

// WriteFile implements Files.
func (OS) WriteFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// Stat implements Files.
func (OS) Stat(path string) (fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Mode(), nil
}
