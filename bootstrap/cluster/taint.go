package cluster

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Labels and taints of nodes, as kubeadm and Kubernetes name them.
const (
	LabelControlPlane = "node-role.kubernetes.io/control-plane"
	LabelWorker       = "node-role.kubernetes.io/worker"
	// LabelExcludeBalancers keeps load balancers off a node. kubeadm sets it on control-plane nodes, which take no pods.
	LabelExcludeBalancers = "node.kubernetes.io/exclude-from-external-load-balancers"
)

// Taint keeps pods that do not tolerate it off a node.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"`
}

// ControlPlaneNodeTaint is kubeadm's taint of control-plane nodes.
func ControlPlaneNodeTaint() Taint { return Taint{Key: LabelControlPlane, Effect: "NoSchedule"} }

func (t Taint) String() string {
	if t.Value == "" {
		return t.Key + ":" + t.Effect
	}
	return t.Key + "=" + t.Value + ":" + t.Effect
}

// Validate returns why the API server would refuse the taint, or nil.
func (t Taint) Validate() error {
	if err := validateLabelKey(t.Key); err != nil {
		return fmt.Errorf("taint %q: %w", t, err)
	}
	if err := validateLabelValue(t.Value); err != nil {
		return fmt.Errorf("taint %q: %w", t, err)
	}
	if effects := []string{"NoSchedule", "PreferNoSchedule", "NoExecute"}; !slices.Contains(effects, t.Effect) {
		return fmt.Errorf("taint %q: the effect %q is not one of %s", t, t.Effect, strings.Join(effects, ", "))
	}
	return nil
}

// ParseTaint parses "key=value:Effect" or "key:Effect", as kubectl writes it.
func ParseTaint(text string) (Taint, error) {
	rest, effect, ok := strings.Cut(text, ":")
	if !ok {
		return Taint{}, fmt.Errorf("taint %q has no effect; write KEY=VALUE:NoSchedule", text)
	}
	key, value, _ := strings.Cut(rest, "=")
	t := Taint{Key: key, Value: value, Effect: effect}
	return t, t.Validate()
}

// ParseNodeLabels parses "key=value" each.
func ParseNodeLabels(list []string) (map[string]string, error) {
	labels := map[string]string{}
	var errs []error
	for _, text := range list {
		key, value, ok := strings.Cut(text, "=")
		if old, twice := labels[key]; !ok {
			errs = append(errs, fmt.Errorf("label %q has no value; write KEY=VALUE", text))
		} else if twice && old != value {
			errs = append(errs, fmt.Errorf("label %s has the values %q and %q", key, old, value))
		}
		labels[key] = value
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return labels, ValidateNodeLabels(labels)
}

// ValidateNodeLabels returns why a Node object cannot have these labels in addition to those that each node has of its own.
func ValidateNodeLabels(labels map[string]string) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		err := validateLabelKey(key)
		if err == nil {
			err = validateLabelValue(labels[key])
		}
		if err == nil && slices.Contains([]string{LabelControlPlane, LabelWorker, "kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch"}, key) {
			err = errors.New("each node has its own")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("label %q: %w", key, err))
		}
	}
	return errors.Join(errs...)
}

// validateLabelKey follows Kubernetes' rule: an optional DNS name and a slash, then at most 63 characters.
func validateLabelKey(key string) error {
	prefix, name, has := strings.Cut(key, "/")
	if !has {
		prefix, name = "", key
	}
	switch {
	case has && !isDNSName(prefix):
		return fmt.Errorf("%q is not a DNS name", prefix)
	case name == "":
		return errors.New("it has no name")
	}
	return validateLabelValue(name)
}

func isDNSName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || !alphanumeric(part[0]) || !alphanumeric(part[len(part)-1]) || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

func validateLabelValue(v string) error {
	if v == "" {
		return nil
	}
	ends := func(c byte) bool { return alphanumeric(c) || c >= 'A' && c <= 'Z' }
	inside := func(c rune) bool { return c > 127 || !ends(byte(c)) && c != '-' && c != '_' && c != '.' }
	switch {
	case len(v) > 63:
		return fmt.Errorf("%q has %d characters, at most 63 are possible", v, len(v))
	case !ends(v[0]) || !ends(v[len(v)-1]) || strings.ContainsFunc(v, inside):
		return fmt.Errorf("%q may only have letters, digits, '-', '_' and '.', and has to begin and end with a letter or a digit", v)
	}
	return nil
}
