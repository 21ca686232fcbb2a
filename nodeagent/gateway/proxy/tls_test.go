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
	"net/http"
	"net/netip"
	"testing"
	"time"

	"bonsai/bootstrap/gatewaytable"
)

// pair is a certificate for a host, with its serial number.
func pair(t *testing.T, serial int64, host string) gatewaytable.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{host}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return gatewaytable.Certificate{Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})}
}

// secured is the table of a plane with certificates for names.
func (p *plane) secured(t *testing.T, backend string, names []gatewaytable.ServerName, certificates ...gatewaytable.Certificate) {
	t.Helper()
	rule := gatewaytable.Rule{From: "ingress/default/web", Path: gatewaytable.Path{Kind: gatewaytable.PathPrefix, Value: "/"}, Backends: []gatewaytable.Weighted{{Weight: 1}}}
	table := gatewaytable.Table{
		Certificates: certificates, Backends: []gatewaytable.Backend{{Name: "default/web:80", Protocol: gatewaytable.HTTP1, Endpoints: []netip.AddrPort{netip.MustParseAddrPort(backend)}}},
		Ports: []gatewaytable.Port{{
			Number: netip.MustParseAddrPort(p.address).Port(), TLS: true, Names: names,
			Groups: []gatewaytable.Group{{Listeners: []gatewaytable.Listener{{Hosts: []gatewaytable.Host{{Rules: []gatewaytable.Rule{rule}}}}}}},
		}},
	}
	if err := table.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := p.proxy.Apply(table); err != nil {
		t.Fatal(err)
	}
}

// serial is that of the certificate that clients of a host get.
func (p *plane) serial(t *testing.T, host string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", p.address, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err != nil {
		return "none"
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// TestCertificatesAreReplaced: new connections get the new one at once, and those that are open go on.
func TestCertificatesAreReplaced(t *testing.T) {
	backend := backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Proto"))
	})
	p := start(t, true, gatewaytable.Rule{}, gatewaytable.HTTP1, backend)
	names := []gatewaytable.ServerName{{Name: "a.test", Certificates: []int{0}}, {Name: "*.test", Certificates: []int{1}}}
	p.secured(t, backend, names, pair(t, 11, "a.test"), pair(t, 12, "*.test"))
	for host, want := range map[string]string{"a.test": "11", "A.test": "11", "b.test": "12", "x.b.test": "12", "other": "none"} {
		if got := p.serial(t, host); got != want {
			t.Errorf("%s gets certificate %s, want %s", host, got, want)
		}
	}
	conn, err := tls.Dial("tcp", p.address, &tls.Config{ServerName: "a.test", InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	ask := func() string {
		t.Helper()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.Status + " " + string(text)
	}
	if got := ask(); got != "200 OK https" {
		t.Errorf("got %s", got)
	}
	p.secured(t, backend, names, pair(t, 21, "a.test"), pair(t, 12, "*.test"))
	if got := p.serial(t, "a.test"); got != "21" {
		t.Errorf("after the change clients get certificate %s", got)
	}
	if got := ask(); got != "200 OK https" {
		t.Errorf("over the open connection: %s", got)
	}
	p.secured(t, backend, names[1:], pair(t, 0, "unused"), pair(t, 12, "*.test"))
	if got := p.serial(t, "a.test"); got != "12" {
		t.Errorf("without a certificate of its own a.test gets %s", got)
	}
}
