// Command bonsai-hello is the program of the image bonsai/hello, which every node has: a small web server that says where it
// runs and what it was asked, and that misbehaves on request. Begin reading at server.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// endLimit is how long open requests may take once the pod is asked to end.
const endLimit = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ports := []string{"8080", "80"} // the second for Services whose author named no targetPort
	if p := os.Getenv("PORT"); p != "" {
		ports = []string{p}
	}
	if err := run(ctx, ports, os.Exit); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

// run serves on all ports until ctx ends. Only the first has to be free. exit ends the program.
func run(ctx context.Context, ports []string, exit func(int)) error {
	s := newServer(where(ctx), exit)
	hs := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	var serving sync.WaitGroup
	defer serving.Wait()
	failed := make(chan error, len(ports))
	for i, port := range ports {
		var listen net.ListenConfig
		l, err := listen.Listen(ctx, "tcp", net.JoinHostPort("", port))
		if err != nil {
			if i == 0 {
				return fmt.Errorf("listen: %w", err)
			}
			continue
		}
		fmt.Fprintln(os.Stdout, "listening on port", port)
		serving.Go(func() {
			if err := hs.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endLimit)
	defer cancel()
	if hs.Shutdown(end) != nil {
		_ = hs.Close()
	}
	return err
}

// nodeName is what the cluster's DNS server answers about the node that it runs on, which is the pod's own while that runs one.
const nodeName = "node.bonsai.internal."

// lookupLimit bounds that question: elsewhere nobody answers it.
const lookupLimit = 2 * time.Second

// where finds out where this program runs. The environment has precedence, which pods can fill from their own fields.
func where(ctx context.Context) place {
	p := place{Pod: os.Getenv("POD_NAME"), Namespace: os.Getenv("POD_NAMESPACE"), Node: os.Getenv("NODE_NAME"), Zone: os.Getenv("ZONE"), Addresses: addresses()}
	if p.Pod == "" {
		p.Pod, _ = os.Hostname()
	}
	if p.Namespace == "" {
		text, _ := os.ReadFile("/etc/resolv.conf")
		p.Namespace = namespaceOf(string(text))
	}
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	texts, _ := net.DefaultResolver.LookupTXT(ctx, nodeName)
	for _, text := range texts {
		switch name, value, _ := strings.Cut(text, "="); {
		case name == "name" && p.Node == "":
			p.Node = value
		case name == "zone" && p.Zone == "":
			p.Zone = value
		}
	}
	return p
}

// namespaceOf is the namespace of the pod that has this resolv.conf: a kubelet lists NAMESPACE.svc.DOMAIN first.
func namespaceOf(resolvConf string) string {
	for line := range strings.Lines(resolvConf) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "search" {
			continue
		}
		for _, domain := range fields[1:] {
			if name, rest, ok := strings.Cut(domain, "."); ok && strings.HasPrefix(rest, "svc.") {
				return name
			}
		}
	}
	return ""
}

// addresses are those of the pod.
func addresses() (list []string) {
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			list = append(list, n.IP.String())
		}
	}
	return list
}
