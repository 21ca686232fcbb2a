package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"bonsai/bootstrap/gatewaytable"
)

// verified is what a backend has to be reached by: TLS with a certificate that is what the settings say.
func verified(want gatewaytable.BackendTLS, client *tls.Certificate) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(want.CAs) {
		return nil, errors.New("no certificate of a CA can be read")
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: want.ServerName,
		// The standard library compares with ServerName; which names are good is decided here.
		InsecureSkipVerify: true,
		VerifyConnection:   func(c tls.ConnectionState) error { return verify(c, want, roots) },
	}
	if client != nil { // whatever CAs the backend names
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return client, nil }
	}
	return config, nil
}

// verify returns why a certificate is not what it has to be.
func verify(c tls.ConnectionState, want gatewaytable.BackendTLS, roots *x509.CertPool) error {
	leaf := c.PeerCertificates[0] // a server always has one
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, other := range c.PeerCertificates[1:] {
		options.Intermediates.AddCert(other)
	}
	if _, err := leaf.Verify(options); err != nil {
		return fmt.Errorf("the certificate of the backend: %w", err)
	}
	names := want.Names
	if len(names) == 0 && len(want.URIs) == 0 {
		names = []string{want.ServerName}
	}
	for _, name := range names {
		if leaf.VerifyHostname(name) == nil {
			return nil
		}
	}
	for _, uri := range leaf.URIs {
		if slices.Contains(want.URIs, uri.String()) {
			return nil
		}
	}
	return fmt.Errorf("the certificate of the backend is for none of %q", slices.Concat(names, want.URIs))
}

// secure gives backends with settings of TLS their connections, which those with the same settings share. Connections that no backend
// has any more are closed when they are idle.
func (p *Proxy) secure(s *state) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := map[string]*http.Transport{}
	for _, b := range s.backends {
		if b.TLS == nil {
			continue
		}
		data, err := json.Marshal(b.TLS)
		if err != nil {
			return err
		}
		key := string(data)
		var client *tls.Certificate
		if i := b.TLS.Client; i != nil {
			client = s.certificates[*i]
			key += string(client.Certificate[0]) // another one may have the same index later
		}
		if now[key] == nil {
			now[key] = p.verified[key]
		}
		if now[key] == nil {
			config, err := verified(*b.TLS, client)
			if err != nil {
				return fmt.Errorf("backend %s: %w", b.Name, err)
			}
			now[key] = newTransport(secured, config)
		}
		b.transport = now[key]
	}
	for key, old := range p.verified {
		if now[key] == nil {
			old.CloseIdleConnections()
		}
	}
	p.verified = now
	return nil
}
