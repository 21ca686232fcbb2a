package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"slices"

	"github.com/pires/go-proxyproto"

	"bonsai/bootstrap/gatewaytable"
)

// behind reads the PROXY protocol (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt) of connections from the addresses of
// which the table says so: of one of these that does not begin with it, and of all others, the address is what it is.
func (p *Proxy) behind(l net.Listener) net.Listener {
	return &proxyproto.Listener{Listener: l, ReadHeaderTimeout: headerLimit, ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
		from, err := netip.ParseAddrPort(o.Upstream.String())
		if err == nil && slices.ContainsFunc(p.state.Load().proxyFrom, func(r gatewaytable.Range) bool { return r.Contains(from.Addr().Unmap()) }) {
			return proxyproto.USE, nil
		}
		return proxyproto.SKIP, nil
	}}
}

// terminating is how the TLS of a port is terminated. What depends on the table is looked up for each connection.
func (p *Proxy) terminating(number uint16) *tls.Config {
	get := func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return p.certificate(h, number) }
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		at := p.state.Load().ports[number]
		if at == nil {
			return nil, errors.New("the port is being closed")
		}
		if at.clients == nil {
			return nil, nil // this one
		}
		config := at.clients.Clone()
		config.GetCertificate = get
		return config, nil
	}}
}

// clientsOf is the part of a port's TLS that is about its clients; nil if they need no certificate.
func clientsOf(c *gatewaytable.Clients) (*tls.Config, error) {
	if c == nil {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, ClientAuth: tls.RequestClientCert}
	if c.Optional {
		return config, nil
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(c.CAs) {
		return nil, errors.New("no certificate of a CA of clients can be read")
	}
	return config, nil
}
