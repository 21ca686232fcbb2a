// Command dnsaddon is bonsai's DNS server as a node agent runs it, but on any machine that reaches the API server.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/tools/clientcmd"

	"bonsai/dnsaddon"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	listen := flag.String("listen", "127.0.0.1:5353", "address and port to answer at")
	metrics := flag.String("metrics", "127.0.0.1:9153", "address and port of the metrics")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig, *listen, *metrics); err != nil {
		fmt.Fprintln(os.Stderr, "dnsaddon:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig, listen, metrics string) error {
	api, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	addr, err := netip.ParseAddrPort(listen)
	if err != nil {
		return err
	}
	metricsAddr, err := netip.ParseAddrPort(metrics)
	if err != nil {
		return err
	}
	return dnsaddon.New(dnsaddon.Config{
		Node: "here", Domain: "cluster.local", API: api,
		Listen: []netip.AddrPort{addr}, Metrics: metricsAddr, Allow: []netip.Prefix{netip.PrefixFrom(addr.Addr(), 8)},
		ResolvConf: "/etc/resolv.conf", Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}).Run(ctx)
}
