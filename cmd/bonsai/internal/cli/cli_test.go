package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"bonsai/bootstrap/buildinfo"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/hostdns"
	"bonsai/bootstrap/imagestore/imagetest"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/pki"
	"bonsai/bootstrap/statedir"
)

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"bonsai": func() { os.Exit(fakeMain()) }})
}

// leakChecked looks for goroutines left over by the tests of this process.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestScripts runs what users type. The test binary is bonsai there, with a fake engine behind the command line.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("HOME", home)
			e.Setenv(statedir.EnvHome, filepath.Join(home, ".bonsai"))
			e.Setenv("KUBECONFIG", "")
			e.Setenv("TERM", "xterm")
			e.Setenv("GORACE", "atexit_sleep_ms=0") // a second per command otherwise
			e.Setenv("LC_ALL", "C.UTF-8")
			return errors.Join(os.MkdirAll(home, 0o700), pki.Ensure(filepath.Join(e.WorkDir, "pki"), cluster.Spec{Name: "x"}))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code": wantCode, "plain": wantPlain, "waitfor": waitFor, "replace": replaceText,
			"daemon": startDaemon, "imagearchive": writeImageArchive,
			"registryimage": pushImages, "serveregistry": serveRegistry,
		},
	})
}

// writeImageArchive writes files that are archives of "docker save", each with an image app:1.
func writeImageArchive(ts *testscript.TestScript, _ bool, files []string) {
	for _, f := range files {
		ts.Check(os.WriteFile(ts.MkAbs(f), imagetest.Docker([]string{"app:1"}, "layer of an archive"), 0o600))
	}
}

// wantCode runs a command that has to end with that exit code.
func wantCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// wantPlain fails if the last command wrote an escape byte.
func wantPlain(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range []string{"stdout", "stderr"} {
		if strings.ContainsAny(ts.ReadFile(name), "\x1b\r\a") {
			ts.Fatalf("control bytes in %s: %q", name, ts.ReadFile(name))
		}
	}
}

// waitFor returns when a file exists, and has a text if one is given.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		if data, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && (len(args) == 1 || strings.Contains(string(data), args[1])) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s did not come", args[0])
		}
	}
}

// replaceText is: replace OLD NEW FILE.
func replaceText(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%s has no %q", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.ReplaceAll(text, args[0], args[1])), 0o600))
}

// fakeMain is main with a fake engine. FAKE chooses how it behaves.
func fakeMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := Run(ctx, Env{
		Open: func(log *slog.Logger) (Session, error) {
			dir, err := statedir.Home()
			if err != nil {
				return Session{}, err
			}
			return Session{Engine: &fakeEngine{dir, os.Getenv("FAKE")}, State: dir, Driver: func() (node.Driver, error) {
				if os.Getenv("FAKE") == "no-docker" {
					return nil, fault.Newf(fault.EngineDown, "no engine").Advise("start Docker")
				}
				return node.Logged(fakeDriver{dir: dir}, log), nil
			}, Host: hostdns.System{Root: os.Getenv("FAKE_MACHINE")}}, nil
		},
		Kubectl: func(_ context.Context, args []string, kubeconfig string) int {
			fmt.Printf("kubectl %q with %s\n", args, filepath.Base(kubeconfig))
			if slices.Contains(args, "fail") {
				return 7
			}
			return 0
		},
		Roles: []Role{{"echo", "prints its arguments", func(_ context.Context, args []string) error {
			fmt.Printf("%q\n", args)
			if slices.Contains(args, "-fail") {
				return fault.Newf(fault.ControlPlane, "the role failed")
			}
			return nil
		}}},
		CheckSettings: func(s cluster.Settings, _ string) map[string]error {
			if _, ok := s.FeatureGates["Typo"]; ok {
				return map[string]error{"featureGates.Typo": errors.New("unknown feature gate")}
			}
			return nil
		},
		OpenBundle: fakeOpen,
		Learn:      fakeLessons,
		Addons:     testAddons,
		Info: buildinfo.Info{
			Version: "v1.2.3", Commit: "abc", Kubernetes: "v1.37.2", Etcd: "v3.7.3", Containerd: "v2.4.2",
			Runc: "v1.5.2", CNIPlugins: "v1.9.1", Go: "go1.26", Platform: "linux/amd64",
		},
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}, os.Args[1:])
	stop()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	return code
}

// TestDependencies keeps the command line light: what it links is built and started for every completion key.
func TestDependencies(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		for _, heavy := range []string{"k8s.io/", "go.etcd.io/", "github.com/docker/", "github.com/containerd/", "google.golang.org/grpc", "github.com/charmbracelet/"} {
			if strings.HasPrefix(dep, heavy) {
				t.Errorf("links %s", strings.TrimSpace(dep))
			}
		}
	}
}

func TestSignalsOfAClosedReader(t *testing.T) {
	stop := surviveClosedOutput()
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGPIPE); err != nil {
		t.Fatal(err) // and the test goes on
	}
}
