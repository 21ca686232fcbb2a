package main

import (
	"context"
	"log/slog"
	"net/netip"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/announce"
)

// announcedFile is on a tmpfs, and therefore as old as the container's start: another node has the addresses of one that stopped.
const announcedFile = "/run/bonsai/announced.json"

// announcing returns the part that answers for addresses of load balancers.
func announcing(cfg cluster.NodeConfig, log *slog.Logger) *announce.Part {
	not := []netip.Addr{cfg.Gateway, cfg.Node.IP}
	for _, p := range cfg.Peers {
		not = append(not, p.IP)
	}
	filter, err := announce.NewFilter(cfg.Node.IP)
	if err != nil {
		filter = noFilter{err}
	}
	return announce.New(announce.Config{
		Subnet: cfg.Subnet, Not: not, Filter: filter, StateFile: announcedFile,
		Open: func() (announce.Wire, error) { return announce.OpenInterface(cfg.Node.IP) },
		Log:  log.With("component", "announce"),
	})
}

// noFilter reports why there is none.
type noFilter struct{ err error }

func (f noFilter) Set(context.Context, []cluster.AnnouncedAddress) error { return f.err }
