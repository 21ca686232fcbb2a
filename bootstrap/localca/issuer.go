package localca

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// mostKept bounds the certificates that an Issuer keeps: clients choose for which names there are some.
const mostKept = 4096

// ErrNotPermitted is why there is no certificate for a host: the authority may not sign it.
var ErrNotPermitted = errors.New("the local CA signs names below " + strings.Join(domains, ", ") + ", and no others")

// Issuer signs certificates for hosts, and keeps them until they are about to expire. The authority is made with the first one.
// It is safe for concurrent use.
type Issuer struct {
	dir string

	mu        sync.Mutex // guards the rest
	key       *ecdsa.PrivateKey
	keyPEM    []byte
	authority *Authority
	kept      map[string]issued
}

// issued is a certificate that was signed.
type issued struct {
	tls   *tls.Certificate
	chain []byte
	until time.Time
}

// NewIssuer returns one for the authority in dir. Nothing is read or made yet.
func NewIssuer(dir string) *Issuer { return &Issuer{dir: dir, kept: map[string]issued{}} }

// Certificate returns a certificate for a host, which is a name, perhaps with a wildcard, or an address. It does not take long,
// but for the first one on a machine. The error is ErrNotPermitted if the authority may not sign it.
func (i *Issuer) Certificate(ctx context.Context, host string) (*tls.Certificate, error) {
	one, _, err := i.get(ctx, host, time.Now())
	if err != nil {
		return nil, err
	}
	return one.tls, nil
}

// PEM is Certificate with the chain and the key as PEM.
func (i *Issuer) PEM(ctx context.Context, host string) (chain, key []byte, err error) {
	one, key, err := i.get(ctx, host, time.Now())
	if err != nil {
		return nil, nil, err
	}
	return one.chain, key, nil
}

func (i *Issuer) get(ctx context.Context, host string, now time.Time) (issued, []byte, error) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !Permits(host) {
		return issued{}, nil, fmt.Errorf("sign a certificate for %q: %w", host, ErrNotPermitted)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if one, ok := i.kept[host]; ok && now.Before(one.until.Add(-renewBefore)) {
		return one, i.keyPEM, nil
	}
	// From the disk each time: it may have been replaced, and this is rare.
	authority, err := ensure(ctx, i.dir, now)
	if err != nil {
		return issued{}, nil, err
	}
	if i.authority == nil || !bytes.Equal(i.authority.Certificate.Raw, authority.Certificate.Raw) || len(i.kept) >= mostKept {
		clear(i.kept)
		i.authority = authority
	}
	if err := i.ensureKey(); err != nil {
		return issued{}, nil, err
	}
	one, err := authority.sign(host, i.key, now)
	if err != nil {
		return issued{}, nil, err
	}
	i.kept[host] = one
	return one, i.keyPEM, nil
}

// ensureKey makes the key of all certificates; i.mu is held. They are of one process and one user.
func (i *Issuer) ensureKey() error {
	if i.key != nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("create a key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode a key: %w", err)
	}
	i.key, i.keyPEM = key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return nil
}

// sign makes a certificate for a host that is permitted.
func (a *Authority) sign(host string, key *ecdsa.PrivateKey, now time.Time) (issued, error) {
	serial, err := newSerial()
	if err != nil {
		return issued{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// No common name: clients read only the alternative names, and a common name is limited to 64 characters.
		Subject:               pkix.Name{Organization: []string{"bonsai"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(leafLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		template.IPAddresses = []net.IP{addr.Unmap().AsSlice()}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, &key.PublicKey, a.key)
	if err != nil {
		return issued{}, fmt.Errorf("sign a certificate for %s: %w", host, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return issued{}, fmt.Errorf("read the certificate for %s: %w", host, err)
	}
	return issued{
		tls:   &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		until: template.NotAfter,
	}, nil
}
