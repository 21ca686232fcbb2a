package daemon

import (
	"context"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
)

// certificateInterval is the pause between two looks at the certificates. They are renewed thirty days before their end; a
// machine that sleeps, or a command that works on the cluster, may delay that by many looks.
const certificateInterval = time.Hour

// keepCertificates renews the control plane's certificates in time, until ctx ends.
func (d *daemon) keepCertificates(ctx context.Context) {
	for {
		// The first look is not at once, when a start still holds the cluster's lock.
		if wait.Pause(ctx, certificateInterval) != nil {
			return
		}
		renewed, err := bootstrap.RenewCertificates(ctx, d.State, time.Now())
		switch {
		case err != nil && fault.KindOf(err) != fault.Busy && ctx.Err() == nil:
			d.Log.Warn("certificates are not renewed", "renewed", renewed, "err", err)
		case len(renewed) > 0:
			d.Log.Info("certificates were renewed", "names", renewed)
		}
	}
}
