package kubelet

import (
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"bonsai/bootstrap/footprint"
)

const settleTime = 8 * time.Second

// startWithoutGC lets the heap grow while the components start and returns the function that ends this. Most of the
// garbage of a start is produced once (schemes, decoded certificates, informer lists), and several nodes start at once
// on few cores, so collecting during the start costs time and gains nothing. The limit bounds a start that goes wrong.
func startWithoutGC(log *slog.Logger) (settle func()) {
	const startLimit = 192 << 20
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(startLimit)
	return sync.OnceFunc(func() {
		// A node should take 180 MB with containerd and agent: collect at half the growth that Go allows by default,
		// and return the memory of the start to the system.
		debug.SetGCPercent(50)
		debug.SetMemoryLimit(startLimit)
		// Later, when informers and the first pods are done; a failure only costs memory.
		footprint.ShrinkAfter(settleTime, func(err error) { log.Warn("memory of the start was not released", "cause", err) })
	})
}
