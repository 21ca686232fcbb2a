// Package reference runs CoreDNS in this process, behind its own sockets and with kubeadm's Corefile, and feeds its
// kubernetes plugin from a [world.World] instead of an API server.
package reference

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"text/template"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/kubernetes"
	clog "github.com/coredns/coredns/plugin/pkg/log"

	"bonsai/test/coredns/internal/world"
	"bonsai/test/coredns/plugins"
)

// feed is the directive that connects the kubernetes plugin to a world.
const feed = "bonsai_feed"

// corefile is kubeadm's without what does not affect answers (health, ready, prometheus, loop, reload), with two
// changes: it listens on a free port of the loopback, and the cache stores nothing. It still changes answers as it does
// in a cluster (it shortens their TTL), but a repeated question is answered again, not from an earlier world and not
// with a TTL that has aged.
const corefile = `.:0 {
    bind 127.0.0.1
    errors
    {{.Feed}}
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        endpoint http://127.0.0.1:1
        pods {{.Pods}}
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    forward . {{.Upstream}} {
        max_concurrent 1000
    }
    cache 30 {
        disable success .
        disable denial .
    }
    loadbalance
}
`

// Server is a running CoreDNS.
type Server struct {
	udp, tcp string
	source   *source
	instance *caddy.Instance
}

// CoreDNS keeps its plugins and their order in global variables; its instances are therefore started one after the
// other, and the directive feed acts on the one that starts.
var starting struct {
	sync.Mutex
	selected bool
	source   *source
}

// Start starts a CoreDNS whose pods option is pods (insecure, verified or disabled), which forwards to upstream and
// has no objects yet, and counts as synced.
func Start(pods, upstream string) (*Server, error) {
	var text bytes.Buffer
	values := map[string]string{"Pods": pods, "Upstream": upstream, "Feed": feed}
	if err := template.Must(template.New("Corefile").Parse(corefile)).Execute(&text, values); err != nil {
		return nil, err
	}
	starting.Lock()
	defer starting.Unlock()
	if !starting.selected {
		if err := plugins.Select(feed); err != nil {
			return nil, err
		}
		plugin.Register(feed, setup)
		caddy.Quiet, dnsserver.Quiet = true, true
		clog.Discard()
		starting.selected = true
	}
	s := &Server{source: newSource()}
	starting.source = s.source
	defer func() { starting.source = nil }()
	var err error
	s.instance, err = caddy.Start(caddy.CaddyfileInput{Filepath: "Corefile", Contents: text.Bytes(), ServerTypeName: "dns"})
	if err != nil {
		return nil, fmt.Errorf("starting CoreDNS: %w", err)
	}
	for _, listening := range s.instance.Servers() {
		s.udp, s.tcp = listening.LocalAddr().String(), listening.Addr().String()
	}
	return s, nil
}

// setup is called by CoreDNS for the directive feed, which comes before all others. Its startup hook runs when all
// plugins are created but none has been started.
func setup(c *caddy.Controller) error {
	source := starting.source
	config := dnsserver.GetConfig(c)
	c.OnStartup(func() error {
		k, ok := config.Handler("kubernetes").(*kubernetes.Kubernetes)
		if !ok {
			return errors.New("there is no kubernetes plugin to feed")
		}
		k.APIConn = source
		// From these the plugin determines which endpoint it is itself; the listeners exist already.
		config.ListenHosts = []string{world.LocalAddress + "/32"}
		return nil
	})
	return nil
}

// Set replaces all objects.
func (s *Server) Set(w *world.World) error { return s.source.set(w) }

// SetSynced sets whether the plugin considers its informers synced.
func (s *Server) SetSynced(yes bool) { s.source.synced.Store(yes) }

// Stop returns when the sockets are closed.
func (s *Server) Stop() error {
	return errors.Join(errors.Join(s.instance.ShutdownCallbacks()...), s.instance.Stop())
}

// Addresses are where it answers, for UDP and TCP.
func (s *Server) Addresses() (udp, tcp string) { return s.udp, s.tcp }
