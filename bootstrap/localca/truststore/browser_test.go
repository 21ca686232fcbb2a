package truststore

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/localca"
)

// chromium has a browser show a page, and returns what it shows, and whether it let that happen.
func chromium(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args := []string{
		"--headless=new", "--disable-gpu", "--no-first-run", "--disable-extensions", "--user-data-dir=" + t.TempDir(), "--virtual-time-budget=10000",
		"--host-resolver-rules=MAP * 127.0.0.1", "--dump-dom",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // Chromium refuses to run as root otherwise
	}
	cmd := exec.CommandContext(ctx, find("chromium"), append(args, url)...)
	cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS=disabled:")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium %s: %v", url, err)
	}
	return string(out)
}

// TestABrowserTrustsLocalNamesOnly: with the CA in the user's database, Chromium accepts a name for local use, and refuses another one
// that was signed with the stolen key.
func TestABrowserTrustsLocalNamesOnly(t *testing.T) {
	if find("chromium") == "" || find(certutil) == "" {
		t.Skip("there is no chromium or no certutil; tools/need.sh browser installs them")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	dir := filepath.Join(home, "ca")
	issuer := localca.NewIssuer(dir)
	if _, err := issuer.Certificate(t.Context(), "localhost"); err != nil {
		t.Fatal(err)
	}
	a, err := localca.Ensure(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "reached ", r.Host) }))
	server.TLS = &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName == "bank.com" || h.ServerName == "stolen.test" {
			return stolen(t, dir, h.ServerName), nil
		}
		return issuer.Certificate(h.Context(), h.ServerName)
	}}
	server.StartTLS()
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	page := func(host string) string { return chromium(t, "https://"+host+":"+port+"/") }
	if got := page("web.shop.localhost"); strings.Contains(got, "reached") {
		t.Errorf("an authority that nobody trusts is accepted: %s", got)
	}
	m := NewHere()
	c := Certificate{File: localca.File(dir), Certificate: a.Certificate}
	for _, s := range Find(m) {
		if s.Where != filepath.Join(home, ".pki/nssdb") {
			continue
		}
		for _, command := range s.Add(m, c) {
			if out, err := m.Run(t.Context(), command.Args); err != nil {
				t.Fatalf("%s: %v: %s", command, err, out)
			}
		}
	}
	for _, host := range []string{"web.shop.localhost", "shop.test", "a.home.arpa", "stolen.test"} {
		got := page(host)
		for range 4 { // on a busy machine the page's time is over before it has come, and nothing is shown
			if got != "" {
				break
			}
			got = page(host)
		}
		if !strings.Contains(got, "reached "+host) {
			t.Errorf("%s: the browser shows %s", host, got)
		}
	}
	if got := page("bank.com"); strings.Contains(got, "reached") {
		t.Errorf("the authority may sign bank.com: %s", got)
	}
}

// stolen is a certificate for any host, signed with the key of the authority in dir.
func stolen(t *testing.T, dir, host string) *tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(localca.File(dir), filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Error(err)
		return nil
	}
	key := pair.PrivateKey.(*ecdsa.PrivateKey)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, pair.Leaf, key.Public(), key)
	if err != nil {
		t.Error(err)
		return nil
	}
	out, err := tls.X509KeyPair(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), encoded(t, key))
	if err != nil {
		t.Error(err)
	}
	return &out
}

func encoded(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Error(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}
