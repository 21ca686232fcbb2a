package cluster

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// countryMirrors are the public mirrors behind --image-mirror-country. Those of cn are documented at
// https://github.com/DaoCloud/public-image-mirror.
var countryMirrors = map[string]map[string]string{
	"cn": {
		"docker.io":         "https://docker.m.daocloud.io",
		"gcr.io":            "https://gcr.m.daocloud.io",
		"ghcr.io":           "https://ghcr.m.daocloud.io",
		"mcr.microsoft.com": "https://mcr.m.daocloud.io",
		"nvcr.io":           "https://nvcr.m.daocloud.io",
		"quay.io":           "https://quay.m.daocloud.io",
		"registry.k8s.io":   "https://k8s.m.daocloud.io",
	},
}

// ParseAuthorities returns the certificates in a PEM text, one after the other and each once, in a form that does not depend on
// how they were written. Other texts around them are left out.
func ParseAuthorities(text string) (string, error) {
	var list []string
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != certificate {
			return "", fmt.Errorf("it has %q; only certificates are possible", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", fmt.Errorf("certificate %d cannot be read: %w", len(list)+1, err)
		}
		if !c.IsCA && c.Issuer.String() != c.Subject.String() {
			return "", fmt.Errorf("the certificate of %s is not that of an authority", c.Subject)
		}
		if one := string(pem.EncodeToMemory(&pem.Block{Type: certificate, Bytes: block.Bytes})); !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	if len(list) == 0 {
		return "", errors.New("it contains no PEM certificate")
	}
	return strings.Join(list, ""), nil
}

const certificate = "CERTIFICATE"

// SplitAuthorities returns each certificate of a text that ParseAuthorities has returned.
func SplitAuthorities(text string) (list []string) {
	for _, one := range strings.SplitAfter(text, "-----END "+certificate+"-----\n") {
		if one != "" {
			list = append(list, one)
		}
	}
	return list
}

// ParseRegistries parses the registry settings that a user typed: mirrors as "URL" (for docker.io), "REGISTRY=URL" or
// "*=URL", with credentials in the URL's user part, or "REGISTRY=" for none, which is an empty list; a country whose public mirrors come after them; and the PEM of an
// authority to trust for the https ones. All problems are reported at once.
func ParseRegistries(mirrors []string, country, ca string) (Registries, error) {
	r := Registries{Mirrors: map[string][]Mirror{}}
	var errs []error
	for _, text := range mirrors {
		registry, m, err := parseMirror(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if m.URL == "" {
			if _, ok := r.Mirrors[registry]; !ok { // others of this command count
				r.Mirrors[registry] = []Mirror{}
			}
			continue
		}
		if strings.HasPrefix(m.URL, "https:") {
			m.CA = ca
		}
		r.Mirrors[registry] = append(r.Mirrors[registry], m)
	}
	if country != "" {
		table, ok := countryMirrors[strings.ToLower(country)]
		if !ok {
			errs = append(errs, fmt.Errorf("no image mirrors are known for country %q; known: %s", country,
				strings.Join(slices.Sorted(maps.Keys(countryMirrors)), ", ")))
		}
		for registry, endpoint := range table {
			r.Mirrors[registry] = append(r.Mirrors[registry], Mirror{URL: endpoint})
		}
	}
	if len(r.Mirrors) == 0 {
		r.Mirrors = nil
	}
	return r, errors.Join(errs...)
}

// parseMirror never repeats the text in its errors: it may contain a password.
func parseMirror(text string) (registry string, m Mirror, err error) {
	registry, rest := "docker.io", text
	if before, after, ok := strings.Cut(text, "="); ok && !strings.ContainsAny(before, "/@") {
		registry, rest = strings.ToLower(before), after
	}
	if registry == "" || strings.ContainsAny(registry, " \t\"'\\") {
		return "", m, fmt.Errorf("registry mirror: %q is not the host name of a registry", registry)
	}
	if rest == "" && text != "" {
		return registry, m, nil
	}
	if rest == "" {
		return "", m, errors.New("registry mirror: the URL is empty")
	}
	if !strings.Contains(rest, "://") {
		rest = "https://" + rest
	}
	u, err := url.Parse(rest)
	if err != nil { // its text would repeat the URL
		return "", m, fmt.Errorf("registry mirror for %s: not a URL (write special characters of a password as %%XX)", registry)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", m, fmt.Errorf("registry mirror for %s: scheme %q is neither http nor https", registry, u.Scheme)
	case u.Hostname() == "":
		return "", m, fmt.Errorf("registry mirror for %s: the URL has no host", registry)
	case u.RawQuery != "" || u.Fragment != "":
		return "", m, fmt.Errorf("registry mirror for %s: the URL must not have a query or a fragment", registry)
	}
	if u.User != nil {
		m.Username = u.User.Username()
		m.Password, _ = u.User.Password()
		u.User = nil
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	m.URL = u.String()
	return registry, m, nil
}
