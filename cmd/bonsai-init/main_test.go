package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test executable plays two more parts, chosen by this variable: the init, which needs a process of its own
// because it waits for every child, and the agent that the init runs.
const roleVar = "BONSAI_INIT_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role, behaviour, _ := strings.Cut(os.Getenv(roleVar), ":"); role {
	case "init":
		os.Setenv(roleVar, "agent:"+behaviour)
		beInit()
	case "agent":
		beAgent(behaviour)
	default:
		os.Exit(m.Run())
	}
}

func beInit() {
	// What being process 1 gives in a container: orphans become our children.
	const setChildSubreaper = 36
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0); errno != 0 {
		fmt.Println("prctl:", errno)
		os.Exit(1)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	s := supervisor{command: []string{os.Args[0]}, log: os.Stderr}
	s.run(signals)
	fmt.Println("init ends")
}

func beAgent(behaviour string) {
	switch behaviour {
	case "dies":
		fmt.Println("agent", os.Getpid())
		os.Exit(3)
	case "orphan":
		// The shell is the sleeper's parent and leaves it at once.
		out, err := exec.Command("sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!").Output()
		fmt.Println("orphan", strings.TrimSpace(string(out)), err)
	}
	go func() { // A test that fails leaves no agent behind.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	fmt.Println("agent", os.Getpid())
	fmt.Println("agent got", <-signals)
}

// initProcess is a running init, read line by line.
type initProcess struct {
	t   *testing.T
	cmd *exec.Cmd
	out *bufio.Scanner
}

func startInit(t *testing.T, behaviour string) *initProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	// The race detector would add a second to the end of each process.
	cmd.Env = append(os.Environ(), roleVar+"=init:"+behaviour, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() { watchdog.Stop(); in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return &initProcess{t: t, cmd: cmd, out: bufio.NewScanner(out)}
}

// expect reads the next line, which must begin with prefix, and returns the rest of it as a number if it is one.
func (p *initProcess) expect(prefix string) (n int) {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatalf("output ended (%v), want %q", p.out.Err(), prefix)
	}
	rest, ok := strings.CutPrefix(p.out.Text(), prefix)
	if !ok {
		p.t.Fatalf("got line %q, want one that begins with %q", p.out.Text(), prefix)
	}
	_, _ = fmt.Sscan(rest, &n)
	return n
}

func (p *initProcess) stop(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	p.expect("agent got terminated")
	p.expect("init ends")
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("init ended with %v, want exit status 0", err)
	}
}

func TestStopReachesTheAgentAndWaitsForIt(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := startInit(t, "runs")
		p.expect("agent ")
		p.stop(sig)
	}
}

func TestKilledAgentComesBack(t *testing.T) {
	p := startInit(t, "runs")
	first := p.expect("agent ")
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if second := p.expect("agent "); second == first {
		t.Errorf("agent has process id %d again", first)
	}
	p.stop(syscall.SIGTERM)
}

func TestDyingAgentIsStartedAgainWithGrowingPauses(t *testing.T) {
	p := startInit(t, "dies")
	start := time.Now()
	for range 4 {
		p.expect("agent ")
	}
	if got, least := time.Since(start), (10+20+40)*time.Millisecond; got < least {
		t.Errorf("four starts took %v, want at least %v", got, least)
	}
	// Between two starts there is no agent to wait for.
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.expect("init ends")
}

func TestOrphansAreReaped(t *testing.T) {
	p := startInit(t, "orphan")
	orphan := p.expect("orphan ")
	p.expect("agent ")
	if got := parentOf(t, orphan); got != p.cmd.Process.Pid {
		t.Fatalf("parent of the orphan is %d, want the init, %d", got, p.cmd.Process.Pid)
	}
	if err := syscall.Kill(orphan, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		// A zombie still takes signals; only a reaped process is unknown to the kernel.
		if syscall.Kill(orphan, 0) == syscall.ESRCH {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", orphan)
		}
		<-time.After(5 * time.Millisecond)
	}
	p.stop(syscall.SIGTERM)
}

func TestMissingAgentIsTriedAgain(t *testing.T) {
	var log strings.Builder
	s := supervisor{command: []string{"/nonexistent/agent"}, log: &log}
	if s.start() {
		t.Fatal("start says that a missing file runs")
	}
	for _, want := range []time.Duration{10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000} {
		if got := s.nextPause(); got != want*time.Millisecond {
			t.Errorf("pause %v, want %v", got, want*time.Millisecond)
		}
	}
	s.started = s.started.Add(-healthy)
	if got := s.nextPause(); got != firstPause {
		t.Errorf("pause after a healthy run %v, want %v", got, firstPause)
	}
}

func parentOf(t *testing.T, pid int) (parent int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\nPPid:")
	_, _ = fmt.Sscan(rest, &parent)
	return parent
}
