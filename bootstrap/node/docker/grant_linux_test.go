package docker

import (
	"os"
	"slices"
	"syscall"
	"testing"
)

func TestMissingLocallyKnowsThisProcess(t *testing.T) {
	// The test's own bounding set, said in another way by the kernel.
	missing, ok := missingLocally(os.Getpid(), 40)
	if !ok {
		t.Fatal("nothing known of this process")
	}
	const prCapBSetRead, sysResource = 23, 24
	has, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prCapBSetRead, sysResource, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	if got := slices.Contains(missing, "SYS_RESOURCE"); got != (has == 0) {
		t.Errorf("SYS_RESOURCE missing: got %v (%v), want %v", got, missing, has == 0)
	}
	if _, ok := missingLocally(1, 40); ok {
		t.Error("PID 1 was taken for the engine")
	}
}
