package proxy

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"bonsai/bootstrap/gatewaytable"
)

// accepting replaces the table of a plane by one with its port and a backend, changed.
func (p *plane) accepting(t *testing.T, backend string, change func(*gatewaytable.Table)) {
	t.Helper()
	rule := gatewaytable.Rule{From: "ingress/default/web", Path: gatewaytable.Path{Kind: gatewaytable.PathPrefix, Value: "/"}, Backends: []gatewaytable.Weighted{{Weight: 1}}}
	table := gatewaytable.Table{
		Backends: []gatewaytable.Backend{{Name: "default/web:80", Protocol: gatewaytable.HTTP1, Endpoints: []netip.AddrPort{netip.MustParseAddrPort(backend)}}},
		Ports: []gatewaytable.Port{{
			Number: netip.MustParseAddrPort(p.address).Port(),
			Groups: []gatewaytable.Group{{Listeners: []gatewaytable.Listener{{Hosts: []gatewaytable.Host{{Rules: []gatewaytable.Rule{rule}}}}}}},
		}},
	}
	change(&table)
	if err := table.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := p.proxy.Apply(table); err != nil {
		t.Fatal(err)
	}
}

// TestPROXYProtocol: who is believed, and who the client is then.
func TestPROXYProtocol(t *testing.T) {
	backend := backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-For"))
	})
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backend)
	ask := func(first string) string {
		t.Helper()
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(conn, first+"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return "none"
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			return resp.Status
		}
		return string(text)
	}
	const header = "PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n"
	if got := ask(header); got == "192.0.2.7" {
		t.Errorf("somebody who is not in the table is believed: %s", got)
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	trust := func(r gatewaytable.Range) {
		p.accepting(t, backend, func(table *gatewaytable.Table) { table.ProxyFrom = []gatewaytable.Range{r} })
	}
	trust(gatewaytable.Range{First: loopback, Last: loopback})
	// The second form, in binary: version 2, PROXY, TCP over IPv4, 12 bytes.
	binary := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + "\xc0\x00\x02\x08\xc0\x00\x02\x01\x04\xd2\x00\x50"
	for first, want := range map[string]string{header: "192.0.2.7", binary: "192.0.2.8", "": "127.0.0.1", "PROXY nonsense\r\n": "none"} {
		if got := ask(first); got != want {
			t.Errorf("after %q the client is %s, want %s", first, got, want)
		}
	}
	trust(gatewaytable.Range{First: loopback.Next(), Last: loopback.Next()})
	if got := ask(header); got == "192.0.2.7" {
		t.Errorf("somebody else's address is believed: %s", got)
	}
}

// authority is a CA with a certificate of a client that it has signed.
func authority(t *testing.T) (ca []byte, client tls.Certificate) {
	t.Helper()
	sign := func(template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if by == nil {
			parent, by = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c, key
	}
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	root, key := sign(&x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	leaf, private := sign(&x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: to, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, root, key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: private}
}

// TestClientCertificates: who is let in.
func TestClientCertificates(t *testing.T) {
	backend := backendServer(t, func(http.ResponseWriter, *http.Request) {})
	p := start(t, true, gatewaytable.Rule{}, gatewaytable.HTTP1, backend)
	ca, ours := authority(t)
	_, others := authority(t)
	let := func(certificates ...tls.Certificate) bool {
		t.Helper()
		c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, Certificates: certificates,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { // also one of another CA
				if len(certificates) == 0 {
					return new(tls.Certificate), nil
				}
				return &certificates[0], nil
			},
		}}}
		resp, err := c.Get("https://" + p.address + "/")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK && resp.ProtoMajor == 2
	}
	want := func(clients *gatewaytable.Clients, none, our, other bool) {
		t.Helper()
		p.accepting(t, backend, func(table *gatewaytable.Table) {
			table.Ports[0].TLS, table.Ports[0].Fallback, table.Ports[0].Clients = true, true, clients
		})
		if got := let(); got != none {
			t.Errorf("%+v: without a certificate %t", clients, got)
		}
		if got := let(ours); got != our {
			t.Errorf("%+v: with a certificate %t", clients, got)
		}
		if got := let(others); got != other {
			t.Errorf("%+v: with a certificate of another CA %t", clients, got)
		}
	}
	want(nil, true, true, true)
	want(&gatewaytable.Clients{CAs: ca}, false, true, false)
	want(&gatewaytable.Clients{CAs: ca, Optional: true}, true, true, true)
	if err := p.proxy.Apply(gatewaytable.Table{Ports: []gatewaytable.Port{{Number: 1, TLS: true, Clients: &gatewaytable.Clients{CAs: []byte("x")}}}}); err == nil {
		t.Error("a CA that cannot be read is accepted")
	}
}
