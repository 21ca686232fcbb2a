package controlplane

import (
	"context"
	"sync"

	"bonsai/controlplane/observe/history"
	"bonsai/controlplane/observe/history/journal"
)

// History is what has happened to the objects; nil if that is not recorded.
func (cp *ControlPlane) History() *history.History { return cp.history }

// runHistory records changes from now on. A cluster works without: if it fails, the log says so.
func (cp *ControlPlane) runHistory() {
	if cp.opts.HistoryDir == "" {
		return
	}
	h, err := history.Open(history.Options{
		Cluster: cp.opts.Config.Spec.Name, Dir: cp.opts.HistoryDir, Limits: journal.DefaultLimits, Store: cp.etcd,
		Client: cp.server.LoopbackConfig(), Log: cp.opts.Log, Scale: cp.opts.Scale,
	}, &cp.writers)
	if err != nil {
		cp.opts.Log.Warn("changes of objects are not recorded", "err", err)
		return
	}
	cp.history = h
	ctx, cancel := context.WithCancel(context.Background())
	var recording sync.WaitGroup
	recording.Go(func() { h.Run(ctx) })
	cp.stopHistory = func() {
		cancel()
		recording.Wait()
		if err := h.Close(); err != nil {
			cp.opts.Log.Warn("the history was not closed", "err", err)
		}
	}
}
