package ownwrites

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
)

var errRefused = errors.New("nobody answers")

// closed is a webhook that fails closed and answers nobody.
type closed struct{ *admission.Handler }

func (closed) Admit(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	return errRefused
}

func (closed) Validate(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	return errRefused
}

func write(by user.Info) admission.Attributes { return writeOf(by, "nodes", "", "") }

func writeOf(by user.Info, resource, subresource, namespace string) admission.Attributes {
	return admission.NewAttributesRecord(&corev1.Node{}, nil, schema.GroupVersionKind{}, namespace, "n", schema.GroupVersionResource{Resource: resource}, subresource,
		admission.Create, nil, false, by)
}

func TestAccountsOfControllersPass(t *testing.T) {
	manager := &user.DefaultInfo{Name: user.KubeControllerManager}
	p := Decorate(closed{admission.NewHandler(admission.Create)}, "ValidatingAdmissionWebhook").(admission.ValidationInterface)
	for _, c := range []struct {
		by                               user.Info
		resource, subresource, namespace string
		passes                           bool
	}{
		{manager, "serviceaccounts", "", "kube-system", true},
		{manager, "serviceaccounts", "token", "kube-system", true},
		{manager, "serviceaccounts", "", "default", false},
		{manager, "pods", "", "kube-system", false},
		{&user.DefaultInfo{Name: "system:serviceaccount:kube-system:replicaset-controller"}, "serviceaccounts", "token", "kube-system", false},
		{&user.DefaultInfo{Name: "kubernetes-admin"}, "serviceaccounts", "", "kube-system", false},
	} {
		if err := p.Validate(t.Context(), writeOf(c.by, c.resource, c.subresource, c.namespace), nil); (err == nil) != c.passes {
			t.Errorf("%s %s/%s in %s: %v", c.by.GetName(), c.resource, c.subresource, c.namespace, err)
		}
	}
}

func TestWhatAKubeletSaysOfItsNodePasses(t *testing.T) {
	kubelet := &user.DefaultInfo{Name: "system:node:n", Groups: []string{"system:nodes", user.AllAuthenticated}}
	p := Decorate(closed{admission.NewHandler(admission.Create)}, "ValidatingAdmissionWebhook").(admission.ValidationInterface)
	for _, c := range []struct {
		by                                      user.Info
		group, resource, subresource, namespace string
		passes                                  bool
	}{
		{kubelet, "", "nodes", "", "", true},
		{kubelet, "", "nodes", "status", "", true},
		{kubelet, "coordination.k8s.io", "leases", "", "kube-node-lease", true},
		{kubelet, "coordination.k8s.io", "leases", "", "default", false},
		{kubelet, "", "pods", "status", "default", false},
		{kubelet, "", "serviceaccounts", "token", "default", false},
		{&user.DefaultInfo{Name: "system:node:other", Groups: kubelet.Groups}, "", "nodes", "status", "", false},
		{&user.DefaultInfo{Name: "system:node:n"}, "", "nodes", "status", "", false}, // without the group of nodes
	} {
		a := admission.NewAttributesRecord(&corev1.Node{}, nil, schema.GroupVersionKind{}, c.namespace, "n",
			schema.GroupVersionResource{Group: c.group, Resource: c.resource}, c.subresource, admission.Create, nil, false, c.by)
		if err := p.Validate(t.Context(), a, nil); (err == nil) != c.passes {
			t.Errorf("%s %s/%s in %s: %v", c.by.GetName(), c.resource, c.subresource, c.namespace, err)
		}
	}
}

func TestOwnWritesPassWhatUsersDefineAndNothingElse(t *testing.T) {
	own := &user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.AllAuthenticated, user.SystemPrivilegedGroup}}
	for _, c := range []struct {
		plugin string
		by     user.Info
		passes bool
	}{
		{"MutatingAdmissionWebhook", own, true},
		{"ValidatingAdmissionWebhook", own, true},
		{"MutatingAdmissionPolicy", own, true},
		{"ValidatingAdmissionPolicy", own, true},
		{"ResourceQuota", own, false},
		{"NodeRestriction", own, false},
		{"ValidatingAdmissionWebhook", &user.DefaultInfo{Name: "kubernetes-admin", Groups: []string{user.SystemPrivilegedGroup}}, false},
		{"ValidatingAdmissionWebhook", &user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.AllAuthenticated}}, false},
		{"ValidatingAdmissionWebhook", &user.DefaultInfo{Name: "system:node:other", Groups: []string{"system:nodes"}}, false},
		{"ValidatingAdmissionWebhook", nil, false},
	} {
		p := Decorate(closed{admission.NewHandler(admission.Create)}, c.plugin)
		if !p.Handles(admission.Create) || p.Handles(admission.Delete) {
			t.Errorf("%s handles other operations than before", c.plugin)
		}
		for what, err := range map[string]error{
			"mutating":   p.(admission.MutationInterface).Admit(t.Context(), write(c.by), nil),
			"validating": p.(admission.ValidationInterface).Validate(t.Context(), write(c.by), nil),
		} {
			if passes := err == nil; passes != c.passes {
				t.Errorf("%s %s for %+v: %v", c.plugin, what, c.by, err)
			}
		}
	}
}
