package kubelet

import (
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"bonsai/bootstrap/footprint"
)

const settleTime = 8 * time.Second

// startWithoutGC lets the heap grow while the components start and returns what ends that. Most of the garbage of a
// start is made once (schemes, decoded certificates, informer lists), and several nodes start at once on few cores,
// so collecting while starting costs start time and gains nothing. The limit keeps a start that goes wrong bounded.
func startWithoutGC(log *slog.Logger) (settle func()) {
	const startLimit = 192 << 20
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(startLimit)
	return sync.OnceFunc(func() {
		// A node shall take 180 MB with containerd and agent: collect at half the growth that Go allows by default,
		// and hand back what the start needed.
		debug.SetGCPercent(50)
		debug.SetMemoryLimit(startLimit)
		// Later, when informers and the first pods are done with; a failure costs memory and nothing else.
		footprint.ShrinkAfter(settleTime, func(err error) { log.Warn("start memory is not given back", "cause", err) })
	})
}
