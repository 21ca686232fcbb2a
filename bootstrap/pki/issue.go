package pki

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"bonsai/bootstrap/statedir"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// ensureCA keeps the authority in NAME.crt and NAME.key if it is complete and valid long enough for a new leaf,
// otherwise it creates another. It is a real authority, with the CA bit and key ids: the trust-bundle controller and
// strict clients reject a self-signed leaf.
func ensureCA(dir, name, commonName string, now time.Time) (*authority, error) {
	if a := readCA(dir, name, commonName, now); a != nil {
		return a, nil
	}
	certFile, keyFile := filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	// Long-lived, unlike leafs: replacing an authority would invalidate every kubeconfig that was handed out.
	key, err := writeKey(keyFile, statedir.WriteFile)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs leafs, no further authorities
	}
	cert, err := sign(certFile, template, template, &key.PublicKey, key, statedir.WriteFile)
	if err != nil {
		return nil, err
	}
	return &authority{cert, key}, nil
}

// readCA returns the authority in NAME.crt and NAME.key, nil if it is not complete or not valid long enough for a new leaf.
func readCA(dir, name, commonName string, now time.Time) *authority {
	cert, certErr := readCert(filepath.Join(dir, name+".crt"))
	key, keyErr := readKey(filepath.Join(dir, name+".key"))
	if certErr != nil || keyErr != nil || !key.PublicKey.Equal(cert.PublicKey) || !cert.IsCA || cert.Subject.CommonName != commonName ||
		cert.NotAfter.Sub(now) <= leafLife+RenewBefore || now.Before(cert.NotBefore) {
		return nil
	}
	return &authority{cert, key}
}

// ensureLeaf keeps the certificate if it matches l, is signed by this authority and is fresh, otherwise it creates it
// again, with a new key.
func (a *authority) ensureLeaf(dir string, l leaf, now time.Time) error {
	certFile, keyFile := filepath.Join(dir, l.name+".crt"), filepath.Join(dir, l.name+".key")
	want := l.template(now)
	cert, certErr := readCert(certFile)
	key, keyErr := readKey(keyFile)
	if certErr == nil && keyErr == nil && key.PublicKey.Equal(cert.PublicKey) && cert.CheckSignatureFrom(a.cert) == nil &&
		same(cert, want) && cert.NotAfter.Sub(now) > RenewBefore && !now.Before(cert.NotBefore) {
		return nil
	}
	key, err := writeKey(keyFile, statedir.WriteFileFast)
	if err != nil {
		return err
	}
	_, err = sign(certFile, want, a.cert, &key.PublicKey, a.key, statedir.WriteFileFast)
	return err
}

func (l leaf) template(now time.Time) *x509.Certificate {
	t := &x509.Certificate{
		Subject:               pkix.Name{CommonName: l.user, Organization: l.groups},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(leafLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		DNSNames:              l.dns,
	}
	if l.server {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if l.client {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	for _, ip := range l.ips {
		t.IPAddresses = append(t.IPAddresses, net.IP(ip.AsSlice()))
	}
	return t
}

// same compares the contents of a template, in any order, except its dates.
func same(have, want *x509.Certificate) bool {
	usage := func(c *x509.Certificate) []string {
		var all []string
		for _, u := range c.ExtKeyUsage {
			all = append(all, fmt.Sprint(u))
		}
		return all
	}
	ips := func(c *x509.Certificate) []string {
		var all []string
		for _, ip := range c.IPAddresses {
			addr, _ := netip.AddrFromSlice(ip)
			all = append(all, addr.Unmap().String())
		}
		return all
	}
	equal := func(a, b []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
	}
	return have.Subject.CommonName == want.Subject.CommonName && equal(have.Subject.Organization, want.Subject.Organization) &&
		equal(have.DNSNames, want.DNSNames) && equal(ips(have), ips(want)) && equal(usage(have), usage(want))
}

func sign(path string, template, parent *x509.Certificate, public *ecdsa.PublicKey, signer *ecdsa.PrivateKey,
	write func(string, []byte) error,
) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("create a serial number: %w", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", filepath.Base(path), err)
	}
	if err := write(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
