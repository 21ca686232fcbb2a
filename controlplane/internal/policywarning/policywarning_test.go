package policywarning

import (
	"context"
	"errors"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/warning"
)

// heard are the warnings of one request.
type heard []string

func (h *heard) AddWarning(_, text string) { *h = append(*h, text) }

func TestOnlyNetworkPoliciesAreWarnedOf(t *testing.T) {
	for name, test := range map[string]struct {
		resource    schema.GroupVersionResource
		subresource string
		operation   admission.Operation
		warned      bool
	}{
		"a new policy":                       {networkingv1.SchemeGroupVersion.WithResource("networkpolicies"), "", admission.Create, true},
		"a changed policy":                   {networkingv1.SchemeGroupVersion.WithResource("networkpolicies"), "", admission.Update, true},
		"a deleted policy":                   {networkingv1.SchemeGroupVersion.WithResource("networkpolicies"), "", admission.Delete, false},
		"an ingress":                         {networkingv1.SchemeGroupVersion.WithResource("ingresses"), "", admission.Create, false},
		"a policy of the cluster":            {schema.GroupVersionResource{Group: "policy.networking.k8s.io", Version: "v1beta1", Resource: "clusternetworkpolicies"}, "", admission.Create, true},
		"the status of one of the cluster's": {schema.GroupVersionResource{Group: "policy.networking.k8s.io", Version: "v1beta1", Resource: "clusternetworkpolicies"}, "status", admission.Update, false},
		"another kind of policy": {
			schema.GroupVersionResource{Group: "crd.test", Version: "v1", Resource: "networkpolicies"}, "", admission.Create, false,
		},
	} {
		var all heard
		a := admission.NewAttributesRecord(nil, nil, schema.GroupVersionKind{}, "shop", "deny", test.resource, test.subresource, test.operation, nil, false, nil)
		chain := Wrap(admission.NewChainHandler(), func() bool { return false })
		if !chain.Handles(test.operation) {
			if test.warned {
				t.Errorf("%s is not looked at", name)
			}
			continue
		}
		if err := chain.(admission.ValidationInterface).Validate(warning.WithWarningRecorder(t.Context(), &all), a, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := slices.Contains(all, Text) || slices.Contains(all, "Cluster"+Text); got != test.warned {
			t.Errorf("%s: got %q", name, all)
		}
	}
	var all heard
	policy := admission.NewAttributesRecord(nil, nil, schema.GroupVersionKind{}, "shop", "deny", networkingv1.SchemeGroupVersion.WithResource("networkpolicies"), "", admission.Create, nil, false, nil)
	chain := Wrap(admission.NewChainHandler(), func() bool { return true })
	if err := chain.(admission.ValidationInterface).Validate(warning.WithWarningRecorder(t.Context(), &all), policy, nil); err != nil || len(all) > 0 {
		t.Errorf("while policies are enforced: %v, %q", err, all)
	}
	pod := admission.NewAttributesRecord(nil, nil, schema.GroupVersionKind{}, "shop", "web", schema.GroupVersionResource{Resource: "pods"}, "", admission.Create, nil, false, nil)
	if err := Wrap(refusing{}, nil).(admission.ValidationInterface).Validate(t.Context(), pod, nil); !errors.Is(err, errRefused) {
		t.Errorf("what admission refuses passes: %v", err)
	}
}

var errRefused = errors.New("no")

type refusing struct{}

func (refusing) Handles(admission.Operation) bool { return true }

func (refusing) Validate(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	return errRefused
}
