// Package localca is the certificate authority of a user, by which browsers of this machine trust what clusters serve: the names
// on loopback, and hosts of Ingresses and Gateways that name no certificate. All clusters of a state folder share it.
//
// It may sign only what no public authority may: names that are reserved for local use, and addresses of loopback. That is in
// the authority's certificate (RFC 5280, section 4.2.1.10), and clients refuse everything else, so that a stolen key opens nothing
// but local names. It is made when it is first needed. Begin reading at Issuer and Ensure.
package localca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"bonsai/bootstrap/statedir"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	// leafLife is below the 398 days that browsers accept of any authority.
	leafLife = 90 * 24 * time.Hour
	// renewBefore is how long a certificate must still be valid to be used.
	renewBefore = 30 * 24 * time.Hour
	// backdate tolerates a clock that is slightly slow.
	backdate = time.Hour

	lockLimit = 10 * time.Second
	lockPause = 10 * time.Millisecond
)

// The files of the authority.
const (
	certFile = "ca.crt"
	keyFile  = "ca.key"
	lockFile = "lock"
	// oldDir has the certificates of authorities before this one, by fingerprint: machines may still trust them.
	oldDir = "old"
)

// domains are the ones below which names may be signed. They are reserved, so that nobody owns names there and no public
// authority signs them: RFC 6761 (localhost, test, example), RFC 2606 (example.com and others, for documents), RFC 6762
// (local), RFC 8375 (home.arpa), and internal, which ICANN has reserved in 2024.
var domains = []string{"localhost", "test", "example", "local", "internal", "home.arpa", "example.com", "example.net", "example.org"}

// Domains are those below which the authority signs names.
func Domains() []string { return slices.Clone(domains) }

// Permits says whether the authority may sign a host: a name, perhaps with a wildcard as its first label, or an address.
func Permits(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback() && addr.Zone() == ""
	}
	host = strings.TrimPrefix(host, "*.")
	if !isName(host) {
		return false
	}
	return slices.ContainsFunc(domains, func(d string) bool { return host == d || strings.HasSuffix(host, "."+d) })
}

// isName says whether text can be a name in a certificate: labels in lower case, as clients compare them.
func isName(text string) bool {
	if text == "" || len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
		}) {
			return false
		}
	}
	return true
}

// Authority is the authority as it is on the disk.
type Authority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// PEM is the authority's certificate, which is not secret.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw})
}

// Fingerprint is the SHA-256 of a certificate, as browsers show it but for colons.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// File is where the certificate of the authority in dir is.
func File(dir string) string { return filepath.Join(dir, certFile) }

// Ensure returns the authority in dir, and makes it if there is none that can be used: it is damaged, ends soon, or its key could
// be read by others. It waits for other processes that do the same.
func Ensure(ctx context.Context, dir string) (*Authority, error) { return ensure(ctx, dir, time.Now()) }

func ensure(ctx context.Context, dir string, now time.Time) (*Authority, error) {
	if a, err := read(dir, now); err == nil {
		return a, nil
	}
	if err := statedir.MkdirPrivate(dir); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lockLimit, errors.New("another process holds its lock"))
	defer cancel()
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, lockPause); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, statedir.Fault("make the local CA", dir, err)
	}
	defer func() { _ = lock.Unlock() }()
	if a, err := read(dir, now); err == nil { // made in the meantime
		return a, nil
	}
	if err := retire(dir); err != nil {
		return nil, err
	}
	return create(dir, now)
}

// retire keeps the certificate of the authority that is about to be replaced.
func retire(dir string) error {
	cert, err := readCert(File(dir))
	if err != nil { // there is none, or nothing can trust it
		return nil
	}
	if err := statedir.MkdirPrivate(filepath.Join(dir, oldDir)); err != nil {
		return err
	}
	return statedir.WriteFile(filepath.Join(dir, oldDir, Fingerprint(cert)+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

// Old are the certificates of earlier authorities of dir that somebody may still trust, with their files.
func Old(dir string) map[string]*x509.Certificate {
	files, _ := filepath.Glob(filepath.Join(dir, oldDir, "*.crt")) // the pattern is valid
	all := map[string]*x509.Certificate{}
	for _, file := range files {
		if cert, err := readCert(file); err == nil {
			all[file] = cert
		}
	}
	return all
}

// ForgetOld removes the certificate of an earlier authority, by its file.
func ForgetOld(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return statedir.Fault("remove the certificate of an earlier local CA", filepath.Dir(file), err)
	}
	return nil
}

// create makes an authority; the lock is held.
func create(dir string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("create the key of the local CA: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the key of the local CA: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encode the key of the local CA: %w", err)
	}
	sum := sha256.Sum256(public)
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname() // for people, who may have several
	template := &x509.Certificate{
		SerialNumber: serial,
		// Another key has another name: stores and path builders find authorities by name.
		Subject:               pkix.Name{Organization: []string{"bonsai"}, OrganizationalUnit: unit(host), CommonName: "bonsai local CA " + hex.EncodeToString(sum[:4])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs leafs, no further authorities
		// Whoever does not understand the constraints refuses the certificate (RFC 5280: they must be critical). What is permitted
		// of one kind of names says nothing about the others, so that addresses are limited as well.
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         domains,
		PermittedIPRanges:           []*net.IPNet{{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}, {IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)}},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign the local CA: %w", err)
	}
	cert, err := x509.ParseCertificate(signed)
	if err != nil {
		return nil, fmt.Errorf("read the local CA: %w", err)
	}
	if err := statedir.WriteFile(filepath.Join(dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})); err != nil {
		return nil, err
	}
	a := &Authority{Certificate: cert, key: key}
	return a, statedir.WriteFile(File(dir), a.PEM())
}

// unit is a machine's name as a part of a subject, which has 64 characters at most.
func unit(host string) []string {
	if host == "" {
		return nil
	}
	return []string{host[:min(len(host), 64)]}
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("create a serial number: %w", err)
	}
	return serial, nil
}

// read returns the authority in dir if it can be used.
func read(dir string, now time.Time) (*Authority, error) {
	path := filepath.Join(dir, keyFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %s", path, info.Mode())
	}
	block, err := readPEM(path, "EC PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParseECPrivateKey(block)
	if err != nil {
		return nil, err
	}
	cert, err := readCert(File(dir))
	if err != nil {
		return nil, err
	}
	switch {
	case !key.PublicKey.Equal(cert.PublicKey) || !cert.IsCA:
		return nil, errors.New("key and certificate do not belong together")
	case cert.NotAfter.Sub(now) <= leafLife+renewBefore || now.Before(cert.NotBefore):
		return nil, fmt.Errorf("it is valid until %s", cert.NotAfter)
	case !slices.Equal(cert.PermittedDNSDomains, domains):
		return nil, errors.New("it is from another version, and signs other names")
	}
	return &Authority{Certificate: cert, key: key}, nil
}

func readCert(path string) (*x509.Certificate, error) {
	block, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(block)
}

func readPEM(path, kind string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s contains no %s", path, kind)
	}
	return block.Bytes, nil
}

// Current is the certificate of the authority in dir as it is, whether it can be used or not.
func Current(dir string) (*x509.Certificate, error) { return readCert(File(dir)) }
