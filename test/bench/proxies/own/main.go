// Command own is bonsai's data plane of Ingress and Gateway API with one backend, to be compared with other proxies.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"bonsai/bootstrap/gatewaytable"
	"bonsai/nodeagent/gateway/proxy"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "own:", err)
		os.Exit(1)
	}
}

// run serves at the first address what the second one answers, with an access log on the standard output and the memory settings of
// bonsai-agent's process.
func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: own ADDRESS BACKEND")
	}
	at, err := netip.ParseAddrPort(os.Args[1])
	if err != nil {
		return err
	}
	backend, err := netip.ParseAddrPort(os.Args[2])
	if err != nil {
		return err
	}
	debug.SetMemoryLimit(64 << 20)
	debug.SetGCPercent(400)
	log := proxy.NewAccessLog(io.Writer(os.Stdout))
	defer log.Close()
	p := proxy.New(proxy.Config{Address: at.Addr(), Access: log.Record, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	rule := gatewaytable.Rule{
		From: "ingress/default/web", Path: gatewaytable.Path{Kind: gatewaytable.PathPrefix, Value: "/"}, Backends: []gatewaytable.Weighted{{Weight: 1}},
	}
	table := gatewaytable.Table{
		Backends: []gatewaytable.Backend{{Name: "default/web:80", Protocol: gatewaytable.HTTP1, Endpoints: []netip.AddrPort{backend}}},
		Ports: []gatewaytable.Port{{Number: at.Port(), Groups: []gatewaytable.Group{{
			Listeners: []gatewaytable.Listener{{Hosts: []gatewaytable.Host{{Name: "web.test", Rules: []gatewaytable.Rule{rule}}}}},
		}}}},
	}
	if err := table.Seal(); err != nil {
		return err
	}
	if err := p.Apply(table); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	p.Run(ctx)
	return nil
}
