package daemon

import (
	"context"
	"net"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/peer"
	"bonsai/controlplane/names"
)

// newNames returns what serves the names of Services.
func (d *daemon) newNames() *names.Server {
	return names.New(names.Options{
		Directory: d.Observer, Dial: d.dialInside, Use: d.idle.Use, MayUse: peer.MayUse, Kept: d.State.NamesPort, Keep: d.State.KeepNamesPort,
		Certificate: d.issuer.Certificate,
		Elsewhere: func(name string) (port int, ok bool) {
			if cluster.ValidateName(name) != nil {
				return 0, false
			}
			other := d.State.Beside(name)
			port = other.NamesPort()
			return port, port != 0 && other.DaemonAlive()
		},
		Log: d.Log, Scale: d.Scale,
	})
}

// dialInside connects to an address in the cluster.
func (d *daemon) dialInside(ctx context.Context, network, address string) (net.Conn, error) {
	if err := d.Ready(); err != nil {
		return nil, err
	}
	return d.running().DialInside(ctx, network, address)
}

// serveNames serves the names as spec wants them.
func (d *daemon) serveNames(spec cluster.Spec) {
	d.names.Apply(spec)
	d.Notify()
}
