package hostprep

import (
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const limitsMode = "HOSTPREP_TEST_OPEN_FILES"

// TestMain plays an agent that sets its limits and starts a program.
func TestMain(m *testing.M) {
	if hard := os.Getenv(limitsMode); hard != "" {
		n, _ := strconv.ParseUint(hard, 10, 64)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: min(n, 1024), Max: n}); err != nil {
			os.Exit(3) // needs a right that this machine does not give
		}
		if err := limitOpenFiles(slog.New(slog.DiscardHandler)); err != nil {
			panic(err)
		}
		cmd := exec.Command("sh", "-c", "ulimit -Sn; ulimit -Hn")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestOpenFilesAreTheSameOnEveryEngine(t *testing.T) {
	for _, engine := range []uint64{1 << 30, openFiles, 20000} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), limitsMode+"="+strconv.FormatUint(engine, 10))
		out, err := cmd.Output()
		if cmd.ProcessState.ExitCode() == 3 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Fields(string(out))
		if len(got) != 2 || got[0] != got[1] {
			t.Errorf("an engine with %d: children have %v, want soft and hard limit to be the same", engine, got)
			continue
		}
		// With the right to raise limits all are the same; without it a low limit stays.
		if got[0] != strconv.Itoa(openFiles) && (engine >= openFiles || got[0] != strconv.FormatUint(engine, 10)) {
			t.Errorf("an engine with %d: children have %s, want %d", engine, got[0], openFiles)
		}
	}
}
