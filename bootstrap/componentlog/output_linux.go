package componentlog

import (
	"os"
	"syscall"
)

// becomeOutput makes f the process's stdout and stderr. Where that fails, they stay what they are.
func becomeOutput(f *os.File) {
	for _, fd := range []int{syscall.Stdout, syscall.Stderr} {
		_ = syscall.Dup3(int(f.Fd()), fd, 0)
	}
}
