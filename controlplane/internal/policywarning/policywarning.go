// Package policywarning lets the API server answer who creates or changes a NetworkPolicy or ClusterNetworkPolicy with a warning while nothing
// enforces it here: while the addon network-policy is disabled. The policy is stored as it is.
//
// It is a part of admission and not a ValidatingAdmissionPolicy with the action Warn, which would do the same: that is an
// object which users can delete, and for which the API server would compile an expression.
package policywarning

import (
	"context"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/warning"
)

// Text is the warning.
const Text = "NetworkPolicies are not enforced while the addon network-policy is disabled: all traffic passes, unless something installed here enforces them"

// This is the resource that the addon defines.
const policyGroup, clusterPolicies = "policy.networking.k8s.io", "clusternetworkpolicies"

// Wrap adds the warning to what admission does. It is given while enforced, which may be nil, does not say otherwise.
func Wrap(next admission.Interface, enforced func() bool) admission.Interface {
	return admission.NewChainHandler(next, warner{admission.NewHandler(admission.Create, admission.Update), enforced})
}

type warner struct {
	*admission.Handler
	enforced func() bool
}

var _ admission.ValidationInterface = warner{}

// Validate implements admission.ValidationInterface. It refuses nothing.
func (w warner) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if w.enforced != nil && w.enforced() {
		return nil
	}
	if a.GetSubresource() != "" {
		return nil
	}
	switch r := a.GetResource(); {
	case r.Group == networkingv1.GroupName && r.Resource == "networkpolicies":
		warning.AddWarning(ctx, "", Text)
	case r.Group == policyGroup && r.Resource == clusterPolicies:
		warning.AddWarning(ctx, "", "Cluster"+Text)
	}
	return nil
}
