package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// MaxNameLength leaves room for "-9999-SUFFIX-var" within the 63 bytes of a DNS label and of a host name.
const MaxNameLength = 30

// maxSuffixLength bounds Spec.Suffix; new ones have SuffixLength.
const maxSuffixLength = 12

// EmulatedMinors is how many older minor versions the embedded components can emulate; upstream's limit is three.
const EmulatedMinors = 3

// ValidateName returns why name cannot be a cluster's name, or nil. Node names, host names and labels are derived from
// it, so it has to be a DNS label.
func ValidateName(name string) error { return validateLabel(name, MaxNameLength) }

// validateLabel returns why name is not a DNS label of at most so many characters, or nil.
func validateLabel(name string, most int) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > most:
		return fmt.Errorf("the name %q has %d characters, at most %d are possible", name, len(name), most)
	}
	for _, c := range []byte(name) {
		if c != '-' && !alphanumeric(c) {
			return fmt.Errorf("the name %q may only have lower-case letters, digits and '-'", name)
		}
	}
	if !alphanumeric(name[0]) || !alphanumeric(name[len(name)-1]) {
		return fmt.Errorf("the name %q has to begin and end with a letter or a digit", name)
	}
	return nil
}

func alphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// ValidateNodes returns why n cannot be the number of nodes. 0 is allowed: an API server without nodes.
func ValidateNodes(n int) error {
	if n < 0 || n > MaxNodes {
		return fmt.Errorf("%d nodes are not possible: from 0 (API server only) to %d", n, MaxNodes)
	}
	return nil
}

// ParseKubernetesVersion turns what a user wrote ("v1.37.2", "1.37", "stable", "1.35", "v1.36.x") into the minor
// for Spec.KubernetesVersion. embedded is the version of the linked components ("v1.37.2"). An older minor is
// emulated by them, whatever patch was asked for; of their own minor only their own patch exists.
func ParseKubernetesVersion(wanted, embedded string) (minor string, emulated bool, err error) {
	own, patch, ok := splitVersion(embedded)
	if !ok {
		return "", false, fmt.Errorf("this build has no Kubernetes version (%q)", embedded)
	}
	if wanted == "stable" || wanted == "latest" || wanted == "" {
		return fmt.Sprintf("1.%d", own), false, nil
	}
	impossible := fmt.Errorf("version %q is not possible; possible are %s", wanted,
		strings.Join(PossibleVersions(embedded), ", "))
	m, p, ok := splitVersion(wanted)
	switch {
	case !ok, m > own, m < own-EmulatedMinors:
		return "", false, impossible
	case m == own && p != "" && p != "x" && p != patch:
		return "", false, impossible
	}
	return fmt.Sprintf("1.%d", m), m != own, nil
}

// PossibleVersions lists what ParseKubernetesVersion accepts, newest first.
func PossibleVersions(embedded string) []string {
	own, _, ok := splitVersion(embedded)
	if !ok {
		return nil
	}
	list := []string{fmt.Sprintf("%s (built in; also 1.%d, stable, latest)", embedded, own)}
	for m := own - 1; m >= own-EmulatedMinors; m-- {
		list = append(list, fmt.Sprintf("1.%d (emulated)", m))
	}
	return list
}

// splitVersion parses "1.37" or "v1.37.2" or "1.37.x"; only major version 1 exists.
func splitVersion(v string) (minor int, patch string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(v, "v"), ".")
	if len(parts) < 2 || len(parts) > 3 || parts[0] != "1" || !digits(parts[1]) {
		return 0, "", false
	}
	if len(parts) == 3 {
		if patch = parts[2]; patch != "x" && !digits(patch) {
			return 0, "", false
		}
	}
	minor, err := strconv.Atoi(parts[1])
	return minor, patch, err == nil
}

func digits(s string) bool {
	return s != "" && len(s) < 5 && strings.Trim(s, "0123456789") == ""
}

// Validate reports everything that makes the spec impossible, each as one of the joined errors. It is for specs that
// come from a file; what a user types is checked separately before.
func (s *Spec) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Version < 1 || s.Version > SpecVersion {
		bad("the spec has version %d, this bonsai reads up to %d", s.Version, SpecVersion)
	}
	if err := ValidateName(s.Name); err != nil {
		errs = append(errs, err)
	}
	if s.ID == "" {
		bad("the spec has no id")
	}
	if len(s.Suffix) > maxSuffixLength || strings.Trim(s.Suffix, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		bad("suffix %q has to be at most %d lower-case letters and digits", s.Suffix, maxSuffixLength)
	}
	if _, _, ok := splitVersion(s.KubernetesVersion); !ok {
		bad("kubernetesVersion %q is not a version", s.KubernetesVersion)
	}
	if s.APIPort < 1 || s.APIPort > 65535 {
		bad("apiPort %d is not a port", s.APIPort)
	}
	// A cluster that never had nodes has no network yet.
	if len(s.Nodes) > 0 || s.Subnet.IsValid() {
		if err := ValidateSubnet(s.Subnet); err != nil {
			errs = append(errs, err)
		} else if want := addrAt(s.Subnet, 1); s.Gateway != want {
			bad("the gateway is %s, that of %s is %s", s.Gateway, s.Subnet, want)
		} else if err := s.ValidateLoadBalancerRanges(); err != nil {
			errs = append(errs, err)
		}
	}
	if len(s.Components) > 0 {
		if _, err := ParseComponents(s.Components); err != nil {
			errs = append(errs, err)
		}
	}
	if s.DNSSearch != "" {
		if _, err := ParseDNSSearch(s.DNSSearch); err != nil {
			errs = append(errs, err)
		}
	}
	for _, err := range []error{ValidatePodSubnet(s.PodRange()), ValidateServiceSubnet(s.ServiceRange()), s.Overlap()} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	for _, p := range s.Ports {
		if err := validatePort(p); err != nil {
			errs = append(errs, err)
		}
	}
	if len(s.Nodes) > MaxNodes {
		bad("the spec has %d nodes, at most %d are possible", len(s.Nodes), MaxNodes)
	}
	seen, numbers := map[int]bool{}, map[int]bool{}
	for _, n := range s.Nodes {
		number := n.Number()
		if number < 1 || number > MaxNodeNumber || n.Name != s.nodeName(number) {
			bad("node %q is not named %s-NUMBER", n.Name, s.Name)
		} else if numbers[number] {
			bad("two nodes are named %s", n.Name)
		}
		switch {
		case n.Index < 1 || n.Index > MaxNodes:
			bad("node %q has index %d", n.Name, n.Index)
		case seen[n.Index]:
			bad("two nodes have index %d", n.Index)
		case ValidateSubnet(s.Subnet) == nil:
			if want := s.PlanNode(n.Index); n.IP != want.IP || n.PodCIDR != want.PodCIDR {
				bad("node %q of index %d is planned as %s %s, not %s %s", n.Name, n.Index, want.IP, want.PodCIDR, n.IP, n.PodCIDR)
			}
		}
		seen[n.Index], numbers[number] = true, true
		if err := ValidateNodeLabels(n.Labels); err != nil {
			bad("node %q: %w", n.Name, err)
		}
		for _, t := range n.Taints {
			if err := t.Validate(); err != nil {
				bad("node %q: %w", n.Name, err)
			}
		}
		for i, m := range n.Mounts {
			if err := m.Validate(); err != nil {
				bad("node %q: %w", n.Name, err)
			}
			if i > 0 && n.Mounts[i-1].Path >= m.Path {
				bad("node %q: the mounts are not sorted by path, or two have the path %s", n.Name, m.Path)
			}
		}
	}
	return errors.Join(errs...)
}

// Overlap returns which two of the cluster's ranges have addresses in common, of which nodes could reach only one.
func (s *Spec) Overlap() error {
	ranges := []struct {
		of string
		netip.Prefix
	}{{"subnet", s.Subnet}, {"pod subnet", s.PodRange()}, {"service subnet", s.ServiceRange()}}
	var errs []error
	for i, a := range ranges {
		for _, b := range ranges[i+1:] {
			if a.Overlaps(b.Prefix) { // never, if there is no subnet
				errs = append(errs, fmt.Errorf("%s %s overlaps %s %s", a.of, a, b.of, b))
			}
		}
	}
	return errors.Join(errs...)
}

// ValidateSubnet returns why p cannot be the network of the nodes. A /24 or larger has room for MaxNodes.
func ValidateSubnet(p netip.Prefix) error { return validateRange("subnet", p, 8, 24) }

// ValidatePodSubnet returns why p cannot be the range of pods. A /17 or larger has a /24 for each of MaxNodes.
func ValidatePodSubnet(p netip.Prefix) error { return validateRange("pod subnet", p, 8, 17) }

// ValidateServiceSubnet returns why p cannot be the range of Services. The API server takes a /12 at most; a /24 has room for
// its own address and that of DNS, with some for users.
func ValidateServiceSubnet(p netip.Prefix) error { return validateRange("service subnet", p, 12, 24) }

func validateRange(what string, p netip.Prefix, largest, smallest int) error {
	switch {
	case !p.IsValid() || !p.Addr().Is4():
		return fmt.Errorf("%s %s is not an IPv4 range such as 10.201.0.0/16", what, p)
	case p != p.Masked():
		return fmt.Errorf("%s %s has host bits set; did you mean %s?", what, p, p.Masked())
	case p.Bits() < largest || p.Bits() > smallest:
		return fmt.Errorf("%s %s: the prefix length has to be from %d to %d", what, p, largest, smallest)
	case !p.Addr().IsPrivate() && !carrierGrade.Contains(p.Addr()):
		return fmt.Errorf("%s %s is not private; use one inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16", what, p)
	}
	return nil
}
