package cluster

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// SettingType is what values an addon's setting can have.
type SettingType string

// The types of settings.
const (
	SettingChoice    SettingType = "choice"    // one of AddonSetting.Options
	SettingInteger   SettingType = "integer"   // from AddonSetting.Min to AddonSetting.Max
	SettingName      SettingType = "name"      // of an object in Kubernetes
	SettingAddresses SettingType = "addresses" // list of IP addresses, each with a port or without
	SettingHosts     SettingType = "hosts"     // list of NAME=ADDRESS
	SettingOrigins   SettingType = "origins"   // list of origins of web pages, such as http://localhost:3000
	SettingRanges    SettingType = "ranges"    // list of ranges of IPv4 addresses, as ParseAddressRange reads them
	SettingDomains   SettingType = "domains"   // list of domains of DNS, such as test
	// SettingRegistries is a list of host names of registries, each with a port or without.
	SettingRegistries SettingType = "registries"
)

// AddonSetting is something about an addon that the user of a cluster may choose. It is data, so that a command line, a file's
// schema and a terminal UI know it without the addon's code.
type AddonSetting struct {
	// Name is in camel case, as fields of files are.
	Name string      `json:"name"`
	Type SettingType `json:"type"`
	// Default is the value of who chooses none, in the form of Canonical. That of a list may be empty.
	Default     string `json:"default"`
	Description string `json:"description"`
	// Cost is what a change costs, in a sentence. Every change is applied to a running cluster.
	Cost    string   `json:"cost"`
	Options []string `json:"options,omitempty"`
	Min     int      `json:"min,omitempty"`
	Max     int      `json:"max,omitempty"`
}

// IsList reports whether a value is a list; its entries are separated by commas.
func (s AddonSetting) IsList() bool {
	return s.Type == SettingAddresses || s.Type == SettingHosts || s.Type == SettingOrigins || s.Type == SettingRanges ||
		s.Type == SettingDomains || s.Type == SettingRegistries
}

// Canonical is the one form of a value in which it is stored and compared. The error says what is wrong with the value.
func (s AddonSetting) Canonical(text string) (string, error) {
	if s.IsList() {
		return s.canonicalList(text)
	}
	text = strings.TrimSpace(text)
	switch s.Type {
	case SettingChoice:
		if !slices.Contains(s.Options, text) {
			return "", fmt.Errorf("%q is not one of %s", text, strings.Join(s.Options, ", "))
		}
	case SettingInteger:
		n, err := strconv.Atoi(text)
		if err != nil {
			return "", fmt.Errorf("%q is not a whole number", text)
		}
		if n < s.Min || n > s.Max {
			return "", fmt.Errorf("%d is not possible: from %d to %d", n, s.Min, s.Max)
		}
		return strconv.Itoa(n), nil
	case SettingName:
		if !isHostName(text) || text != strings.ToLower(text) {
			return "", fmt.Errorf("%q is not a name in Kubernetes, of lower-case letters, digits, dashes and dots", text)
		}
	}
	return text, nil
}

func (s AddonSetting) canonicalList(text string) (string, error) {
	list := []string{}
	for entry := range strings.SplitSeq(text, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		var err error
		switch s.Type {
		case SettingHosts:
			entry, err = canonicalHost(entry)
		case SettingOrigins:
			entry, err = canonicalOrigin(entry)
		case SettingDomains:
			entry, err = canonicalDomain(entry)
		case SettingRegistries:
			entry, err = canonicalRegistry(entry)
		case SettingRanges:
			var r AddressRange
			r, err = ParseAddressRange(entry)
			entry = r.String()
		default:
			entry, err = canonicalAddress(entry)
		}
		if err != nil {
			return "", err
		}
		if !slices.Contains(list, entry) {
			list = append(list, entry)
		}
	}
	if s.Max > 0 && len(list) > s.Max {
		return "", fmt.Errorf("it has %d entries, at most %d are possible", len(list), s.Max)
	}
	return strings.Join(list, ","), nil
}

func canonicalAddress(text string) (string, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return a.String(), nil
	}
	if a, err := netip.ParseAddrPort(text); err == nil && a.Addr().Zone() == "" && a.Port() != 0 {
		return a.String(), nil
	}
	return "", fmt.Errorf("%q is not an IP address such as 10.0.0.53 or 10.0.0.53:5353", text)
}

func canonicalHost(text string) (string, error) {
	name, address, _ := strings.Cut(text, "=")
	name = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(name), "."))
	a, err := netip.ParseAddr(strings.TrimSpace(address))
	if err != nil || a.Zone() != "" || !isHostName(name) {
		return "", fmt.Errorf("%q is not a host name with its address, such as registry.test=192.168.1.20", text)
	}
	return name + "=" + a.String(), nil
}

// canonicalDomain is a domain whose names may be given to a cluster. A whole top-level domain may be only one that the Internet
// does not have (RFC 6761, RFC 8375, RFC 9476): names of others that exist elsewhere would be hidden.
func canonicalDomain(text string) (string, error) {
	domain := strings.ToLower(strings.Trim(strings.TrimPrefix(text, "*"), "."))
	if !isHostName(domain) {
		return "", fmt.Errorf("%q is not a domain such as test or shop.example.com", text)
	}
	switch {
	case strings.Contains(domain, "."):
		if _, err := netip.ParseAddr(domain); err == nil {
			return "", fmt.Errorf("%q is an address, not a domain such as test or shop.example.com", text)
		}
	case domain == "localhost":
		return "", fmt.Errorf("every name below localhost is this machine already")
	case !slices.Contains([]string{"test", "example", "invalid", "internal", "alt", "lan", "home", "corp"}, domain):
		return "", fmt.Errorf("%q would be all names that end with it: name a domain below it, or take test", text)
	}
	return domain, nil
}

// canonicalOrigin is an origin as browsers send it (RFC 6454, section 6.2).
func canonicalOrigin(text string) (string, error) {
	u, err := url.Parse(strings.ToLower(strings.TrimSuffix(text, "/")))
	wrong := err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != ""
	if wrong || u.Hostname() == "" || strings.ContainsAny(u.Host, " %\\") {
		return "", fmt.Errorf("%q is not the origin of a web page, such as http://localhost:3000", text)
	}
	host := u.Host
	if port := u.Port(); port == "80" && u.Scheme == "http" || port == "443" && u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host, nil
}

// isHostName reports whether text is a name as programs look it up, of at most 253 characters.
func isHostName(text string) bool {
	if text == "" || len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool {
				return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
			}) {
			return false
		}
	}
	return true
}

// Setting is the setting of that name.
func (d AddonDescription) Setting(name string) (AddonSetting, bool) {
	i := slices.IndexFunc(d.Settings, func(s AddonSetting) bool { return s.Name == name })
	if i < 0 {
		return AddonSetting{}, false
	}
	return d.Settings[i], true
}

// Value is that of a setting in a cluster: what its user chose, or the default.
func (d AddonDescription) Value(spec Spec, setting string) string {
	if v, ok := spec.AddonValues[d.Name][setting]; ok {
		return v
	}
	s, _ := d.Setting(setting)
	return s.Default
}

// List is the value of a list.
func List(value string) []string {
	if value == "" {
		return nil
	}
	return strings.Split(value, ",")
}
