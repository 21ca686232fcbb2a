package table

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"bonsai/nodeagent/netpolicy/rules"
)

// outside is a variable of the environment with the network namespace of the process that started this one.
const outside = "BONSAI_TEST_OUTSIDE"

const ownNamespace = "/proc/self/ns/net"

// TestMain runs the tests, benchmarks and programs that they execute in a network namespace of their own, all threads of them. It
// ends with the process, and with it all tables. In another namespace nothing of this package is run: it would change what this
// machine and other tests do.
func TestMain(m *testing.M) {
	now, err := os.Readlink(ownNamespace)
	if err != nil {
		fmt.Println("skipped: the network namespace is unknown:", err)
		return
	}
	if before := os.Getenv(outside); before != "" && before != now {
		os.Exit(m.Run())
	}
	os.Exit(inside(now))
}

// inside runs this program again, in a new network namespace.
func inside(before string) (code int) {
	runtime.LockOSThread() // the child is killed when this thread ends
	again := exec.Command(os.Args[0], os.Args[1:]...)
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.Env = append(os.Environ(), outside+"="+before)
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if id := os.Getuid(); id != 0 {
		again.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		again.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: id, Size: 1}}
		again.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	err := again.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Println("skipped: no network namespace can be made:", err)
	}
	return 0
}

// kernel returns a table in the kernel that is gone when the test ends.
func kernel(t testing.TB) *Table {
	t.Helper()
	if now, err := os.Readlink(ownNamespace); err != nil || os.Getenv(outside) == "" || now == os.Getenv(outside) {
		t.Fatalf("this is not a network namespace of the tests: %s, %v", now, err)
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nft is not installed")
	}
	if out, err := exec.Command("nft", "add table ip probe; delete table ip probe").CombinedOutput(); err != nil {
		t.Skipf("nftables cannot be used: %v: %s", err, out)
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Skipf("the loopback interface cannot be used: %v", err)
	}
	table := New()
	t.Cleanup(func() {
		if _, err := table.Apply(context.WithoutCancel(t.Context()), nil); err != nil {
			t.Error(err)
		}
		nft(t, "flush ruleset")
		_ = table.conn.failed(errDone)
	})
	return table
}

var errDone = errors.New("the test has ended")

// apply makes the table what the rules of a state are.
func (t *Table) apply(tb testing.TB, s *rules.State) {
	tb.Helper()
	if _, err := t.Apply(tb.Context(), rules.Compile(s)); err != nil {
		tb.Fatal(err)
	}
}

func nft(t testing.TB, command ...string) string {
	t.Helper()
	out, err := exec.Command("nft", command...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v: %s", command, err, out)
	}
	return string(out)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
