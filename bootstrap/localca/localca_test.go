package localca

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestWhatMayBeSigned(t *testing.T) {
	for host, want := range map[string]bool{
		"web.shop.localhost": true, "localhost": true, "shop.test": true, "*.shop.test": true, "a.home.arpa": true, "www.example.com": true,
		"web.shop.svc.cluster.local": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true, "a_b.test": true,
		"shop.com": false, "notest": false, "example.com.evil.org": false, "arpa": false, "10.96.0.1": false, "": false, "*": false, "*.": false,
		"a..test": false, ".test": false, "a*.test": false, "a/b.test": false, "A.test": false, strings.Repeat("a", 64) + ".test": false,
		strings.Repeat("a.", 130) + "test": false,
	} {
		if got := Permits(host); got != want {
			t.Errorf("%q: %t, want %t", host, got, want)
		}
	}
}

func issuer(t *testing.T) (*Issuer, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	return NewIssuer(dir), dir
}

// roots are what a machine that trusts the authority of dir has.
func roots(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	data, err := os.ReadFile(File(dir))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		t.Fatal("it is not a certificate")
	}
	return pool
}

func TestClientsAcceptTheCertificates(t *testing.T) {
	i, dir := issuer(t)
	for host, asked := range map[string]string{
		"web.shop.localhost": "web.shop.localhost", "*.shop.test": "a.shop.test", "Shop.Test.": "shop.test", "127.0.0.1": "127.0.0.1", "::1": "::1",
	} {
		c, err := i.Certificate(t.Context(), host)
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: roots(t, dir), DNSName: asked}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		chain, key, err := i.PEM(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		if pair, err := tls.X509KeyPair(chain, key); err != nil || !pair.Leaf.Equal(c.Leaf) {
			t.Errorf("%s as PEM is another certificate, %v", host, err)
		}
		if again, err := i.Certificate(t.Context(), host); err != nil || again != c {
			t.Errorf("%s: it is signed again, %v", host, err)
		}
	}
	for _, host := range []string{"shop.com", "10.0.0.1", ""} {
		if _, err := i.Certificate(t.Context(), host); !errors.Is(err, ErrNotPermitted) {
			t.Errorf("%q: %v", host, err)
		}
	}
}

// A stolen key opens nothing but local names: clients refuse the rest.
func TestClientsRefuseWhatIsNotPermitted(t *testing.T) {
	i, dir := issuer(t)
	if _, err := i.Certificate(t.Context(), "a.test"); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"bank.com", "192.0.2.1", "test.com"} {
		stolen, err := i.authority.sign(host, i.key, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		_, err = stolen.tls.Leaf.Verify(x509.VerifyOptions{Roots: roots(t, dir), DNSName: host})
		var invalid x509.CertificateInvalidError
		if !errors.As(err, &invalid) || invalid.Reason != x509.CANotAuthorizedForThisName {
			t.Errorf("%s: %v", host, err)
		}
	}
	ca := i.authority.Certificate
	if !ca.PermittedDNSDomainsCritical || !ca.MaxPathLenZero || len(ca.PermittedIPRanges) != 2 || ca.KeyUsage&x509.KeyUsageDigitalSignature != 0 {
		t.Errorf("the authority may do more than sign: %+v", ca)
	}
}

func TestTheFilesArePrivate(t *testing.T) {
	i, dir := issuer(t)
	if _, err := i.Certificate(t.Context(), "a.test"); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, keyFile): 0o600, File(dir): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// Several daemons and commands begin at once, and have to agree.
func TestThereIsOneAuthority(t *testing.T) {
	_, dir := issuer(t)
	var working sync.WaitGroup
	found := make([]string, 8)
	for n := range found {
		working.Go(func() {
			a, err := Ensure(t.Context(), dir)
			if err != nil {
				t.Error(err)
				return
			}
			found[n] = Fingerprint(a.Certificate)
		})
	}
	working.Wait()
	for _, f := range found {
		if f != found[0] || f == "" {
			t.Errorf("there are several: %q", found)
		}
	}
	if old := Old(dir); len(old) > 0 {
		t.Errorf("some were replaced: %v", old)
	}
}

func TestItIsReplacedWhenItCannotBeUsed(t *testing.T) {
	damage := func(change func(t *testing.T, dir string)) func(*testing.T) {
		return func(t *testing.T) {
			i, dir := issuer(t)
			if _, err := i.Certificate(t.Context(), "a.test"); err != nil {
				t.Fatal(err)
			}
			before := i.authority.Certificate
			change(t, dir)
			if _, err := i.Certificate(t.Context(), "b.test"); err != nil {
				t.Fatal(err)
			}
			if i.authority.Certificate.Equal(before) || i.authority.Certificate.Subject.String() == before.Subject.String() {
				t.Error("it is the same")
			}
			c, err := i.Certificate(t.Context(), "a.test")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: roots(t, dir), DNSName: "a.test"}); err != nil {
				t.Errorf("a certificate of the one before is in use: %v", err)
			}
			old := Old(dir)
			if len(old) != 1 {
				t.Fatalf("of the one before there is %v", old)
			}
			for file, cert := range old {
				if !cert.Equal(before) {
					t.Error("another one is kept")
				}
				if err := ForgetOld(file); err != nil || len(Old(dir)) != 0 {
					t.Errorf("it is not forgotten: %v", err)
				}
			}
		}
	}
	t.Run("others could read the key", damage(func(t *testing.T, dir string) {
		if err := os.Chmod(filepath.Join(dir, keyFile), 0o644); err != nil {
			t.Fatal(err)
		}
	}))
	t.Run("the key is gone", damage(func(t *testing.T, dir string) {
		if err := os.Remove(filepath.Join(dir, keyFile)); err != nil {
			t.Fatal(err)
		}
	}))
	t.Run("the key is damaged", damage(func(t *testing.T, dir string) {
		if err := os.WriteFile(filepath.Join(dir, keyFile), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}))
}

func TestCertificatesAreRenewedInTime(t *testing.T) {
	i, dir := issuer(t)
	now := time.Now()
	first, _, err := i.get(t.Context(), "a.test", now)
	if err != nil {
		t.Fatal(err)
	}
	authority := i.authority.Certificate
	if again, _, err := i.get(t.Context(), "a.test", now.Add(leafLife-renewBefore-time.Minute)); err != nil || again.tls != first.tls {
		t.Errorf("it is signed again too early, %v", err)
	}
	later := now.Add(leafLife - renewBefore + time.Minute)
	if again, _, err := i.get(t.Context(), "a.test", later); err != nil || again.tls == first.tls || !again.until.After(first.until) {
		t.Errorf("it is not renewed, %v", err)
	}
	if !i.authority.Certificate.Equal(authority) {
		t.Error("the authority is another one")
	}
	if _, err := ensure(t.Context(), dir, now.Add(authorityLife-leafLife)); err != nil {
		t.Fatal(err)
	}
	if len(Old(dir)) != 1 {
		t.Error("an authority that ends soon is not replaced")
	}
}

// What a server presents is accepted by a real handshake, with the name that the client asks for.
func TestHandshake(t *testing.T) {
	i, dir := issuer(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return i.Certificate(h.Context(), h.ServerName)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var serving sync.WaitGroup
	defer serving.Wait()
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).HandshakeContext(t.Context())
			c.Close()
		}
	})
	defer l.Close()
	dial := func(name string) error {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.Addr().String(), &tls.Config{ServerName: name, RootCAs: rootsOrNil(dir)})
		if err == nil {
			c.Close()
		}
		return err
	}
	if _, err := i.Certificate(t.Context(), "x.test"); err != nil { // so that the authority is there
		t.Fatal(err)
	}
	if err := dial("web.shop.localhost"); err != nil {
		t.Error(err)
	}
	if err := dial("bank.com"); err == nil {
		t.Error("bank.com has a certificate")
	}
}

func rootsOrNil(dir string) *x509.CertPool {
	data, err := os.ReadFile(File(dir))
	if err != nil {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(data)
	return pool
}

func FuzzPermits(f *testing.F) {
	f.Add("a.test")
	f.Add("*.test")
	f.Add("::1%eth0")
	dir := f.TempDir()
	i := NewIssuer(dir)
	f.Fuzz(func(t *testing.T, host string) {
		if !Permits(host) {
			return
		}
		c, err := i.Certificate(t.Context(), host)
		if err != nil {
			t.Fatalf("%q: %v", host, err)
		}
		name := strings.Replace(host, "*", "a", 1)
		if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: rootsOrNil(dir), DNSName: name}); err != nil {
			t.Errorf("%q: %v", host, err)
		}
	})
}
