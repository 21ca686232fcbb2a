// Package ownwrites lets what the control plane itself writes past the rules that its users define.
//
// Webhooks run in pods. A webhook that fails closed and covers what a start of the cluster writes would therefore keep
// the cluster from starting for ever: its pods cannot run before the start is done, and without a start there is no API
// with which to remove it. Upstream's own admission plugins are not affected.
package ownwrites

import (
	"context"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	"k8s.io/apiserver/pkg/authentication/user"
)

// ofUsers are the plugins whose rules are objects in the cluster.
var ofUsers = []string{mutatingwebhook.PluginName, validatingwebhook.PluginName, mutatingpolicy.PluginName, validatingpolicy.PluginName}

// Decorate wraps the plugins whose rules are the users', so that they are skipped for what the control plane itself
// writes; it returns all others unchanged. It is an admission.DecoratorFunc.
func Decorate(plugin admission.Interface, name string) admission.Interface {
	if !slices.Contains(ofUsers, name) {
		return plugin
	}
	return &skipping{plugin}
}

type skipping struct{ admission.Interface }

// Admit implements admission.MutationInterface.
func (s *skipping) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	next, ok := s.Interface.(admission.MutationInterface)
	if !ok || own(a) {
		return nil
	}
	return next.Admit(ctx, a, o)
}

// Validate implements admission.ValidationInterface.
func (s *skipping) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	next, ok := s.Interface.(admission.ValidationInterface)
	if !ok || own(a) {
		return nil
	}
	return next.Validate(ctx, a, o)
}

// own says whether the control plane itself writes: the server's client of itself, whose token is made at each start and
// never leaves the process (the group keeps out who was only allowed to impersonate the name); the controller manager
// where it makes the accounts and tokens of its controllers, without which it ends, and the daemon with it; and a kubelet
// that says how its own node is, without which no node is ever ready again, and so no pod of the webhook runs. What a
// kubelet may write there is up to NodeRestriction, which is not affected.
func own(a admission.Attributes) bool {
	u := a.GetUserInfo()
	if u == nil {
		return false
	}
	switch u.GetName() {
	case user.APIServerUser:
		return slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup)
	case user.KubeControllerManager:
		return a.GetResource().GroupResource() == schema.GroupResource{Resource: "serviceaccounts"} && a.GetNamespace() == metav1.NamespaceSystem
	}
	node, isNode := strings.CutPrefix(u.GetName(), "system:node:")
	return isNode && slices.Contains(u.GetGroups(), user.NodesGroup) && a.GetName() == node && aboutNodes(a)
}

// aboutNodes says whether a write is of a Node, its status or its lease.
func aboutNodes(a admission.Attributes) bool {
	switch a.GetResource().GroupResource() {
	case schema.GroupResource{Resource: "nodes"}:
		return true
	case schema.GroupResource{Group: coordinationv1.GroupName, Resource: "leases"}:
		return a.GetNamespace() == corev1.NamespaceNodeLease
	}
	return false
}
