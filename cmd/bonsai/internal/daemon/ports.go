package daemon

import (
	"context"
	"net"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// openPorts listens on the ports of the plan. Those that are taken do not keep the cluster from starting, so that whoever
// started it gets a warning.
func (d *daemon) openPorts() {
	d.serveNames(d.currentSpec()) // first: it leaves a port that the plan has for something else
	d.serveDashboard(d.currentSpec())
	d.images.Apply(d.currentSpec())
	err := d.ports.Apply(d.currentSpec())
	if err == nil {
		return
	}
	p := fault.Problem(err)
	p.Severity = cluster.SeverityWarning
	d.Log.Warn("not all ports are open", "err", err)
	d.story.add(cluster.Event{Kind: cluster.StepWarning, Step: "ports", Detail: err.Error(), Time: time.Now(), Problem: &p})
}

// dialService is ports.Options.Service.
func (d *daemon) dialService(ctx context.Context, service string, port int) (net.Conn, error) {
	if err := d.Ready(); err != nil {
		return nil, err
	}
	return d.running().DialService(ctx, service, port)
}

// Ports implements localapi.PortBackend.
func (d *daemon) Ports(context.Context) []cluster.PortStatus { return d.ports.Status() }
