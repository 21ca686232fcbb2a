// Package access says who may do what by RBAC, and which binding allows it. It is pure: Rules is what was read.
//
// The API server may have further authorizers (that of nodes is always there), so that it alone says what is allowed; this says
// why, and to whom else.
package access

import (
	"cmp"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/component-helpers/auth/rbac/validation"

	"bonsai/bootstrap/kube"
)

// Rules are the roles and bindings of a cluster.
type Rules struct {
	ClusterRoles        []rbacv1.ClusterRole
	Roles               []rbacv1.Role
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
	RoleBindings        []rbacv1.RoleBinding
}

func refOf(resource, kind, namespace, name string) kube.Ref {
	return kube.Ref{
		Type:      kube.ResourceType{Group: rbacv1.GroupName, Version: "v1", Resource: resource, Kind: kind, Namespaced: namespace != ""},
		Namespace: namespace, Name: name,
	}
}

// binding is one of either kind, with the rules of its role.
type binding struct {
	ref, role kube.Ref
	// namespace is where it counts; empty for everywhere.
	namespace string
	subjects  []rbacv1.Subject
	rules     []rbacv1.PolicyRule
}

// bindings joins bindings with their roles; one whose role does not exist allows nothing.
func (r *Rules) bindings() []binding {
	clusterRole := func(name string) (kube.Ref, []rbacv1.PolicyRule) {
		ref := refOf("clusterroles", "ClusterRole", "", name)
		if i := slices.IndexFunc(r.ClusterRoles, func(o rbacv1.ClusterRole) bool { return o.Name == name }); i >= 0 {
			return ref, r.ClusterRoles[i].Rules
		}
		return ref, nil
	}
	var list []binding
	for i := range r.ClusterRoleBindings {
		o := &r.ClusterRoleBindings[i]
		b := binding{ref: refOf("clusterrolebindings", "ClusterRoleBinding", "", o.Name), subjects: o.Subjects}
		b.role, b.rules = clusterRole(o.RoleRef.Name)
		list = append(list, b)
	}
	for i := range r.RoleBindings {
		o := &r.RoleBindings[i]
		b := binding{ref: refOf("rolebindings", "RoleBinding", o.Namespace, o.Name), subjects: o.Subjects, namespace: o.Namespace}
		if o.RoleRef.Kind == "ClusterRole" {
			b.role, b.rules = clusterRole(o.RoleRef.Name)
		} else {
			b.role = refOf("roles", "Role", o.Namespace, o.RoleRef.Name)
			at := slices.IndexFunc(r.Roles, func(role rbacv1.Role) bool { return role.Namespace == o.Namespace && role.Name == o.RoleRef.Name })
			if at >= 0 {
				b.rules = r.Roles[at].Rules
			}
		}
		list = append(list, b)
	}
	return list
}

// Who lists all grants of something. Without a namespace only those that count in all of them are meant.
func (r *Rules) Who(q kube.AccessQuery) []kube.Grant {
	resource := q.Type.Resource
	if q.Subresource != "" {
		resource += "/" + q.Subresource
	}
	want := rbacv1.PolicyRule{Verbs: []string{q.Verb}, APIGroups: []string{q.Type.Group}, Resources: []string{resource}}
	if q.Name != "" {
		want.ResourceNames = []string{q.Name}
	}
	var list []kube.Grant
	for _, b := range r.bindings() {
		if b.namespace != "" && b.namespace != q.Namespace {
			continue
		}
		if ok, _ := validation.Covers(b.rules, []rbacv1.PolicyRule{want}); !ok {
			continue
		}
		for _, s := range b.subjects {
			list = append(list, kube.Grant{Who: kube.Subject{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}, Binding: b.ref, Role: b.role})
		}
	}
	slices.SortStableFunc(list, func(a, b kube.Grant) int {
		return cmp.Or(cmp.Compare(a.Who.Kind, b.Who.Kind), cmp.Compare(a.Who.Namespace, b.Who.Namespace), cmp.Compare(a.Who.Name, b.Who.Name))
	})
	return list
}

// Of lists the rules that somebody has, those that count everywhere first.
func (r *Rules) Of(who kube.Subject) []kube.Right {
	groups := groupsOf(who)
	var list []kube.Right
	for _, b := range r.bindings() {
		has := slices.ContainsFunc(b.subjects, func(s rbacv1.Subject) bool {
			return s.Kind == who.Kind && s.Name == who.Name && s.Namespace == who.Namespace || s.Kind == rbacv1.GroupKind && slices.Contains(groups, s.Name)
		})
		if !has {
			continue
		}
		for _, rule := range b.rules {
			list = append(list, kube.Right{
				Verbs: rule.Verbs, Resources: slices.Concat(resourcesOf(rule), rule.NonResourceURLs), Names: rule.ResourceNames, Namespace: b.namespace,
				Role: b.role, Binding: b.ref,
			})
		}
	}
	slices.SortStableFunc(list, func(a, b kube.Right) int { return cmp.Compare(a.Namespace, b.Namespace) })
	return list
}

// groupsOf are the groups that the API server puts somebody into on its own.
func groupsOf(who kube.Subject) []string {
	switch who.Kind {
	case rbacv1.ServiceAccountKind:
		return append(serviceaccount.MakeGroupNames(who.Namespace), "system:authenticated")
	case rbacv1.UserKind:
		if who.Name == "system:anonymous" {
			return []string{"system:unauthenticated"}
		}
		return []string{"system:authenticated"}
	}
	return nil
}

// resourcesOf are the resources of a rule with their groups.
func resourcesOf(rule rbacv1.PolicyRule) []string {
	var list []string
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			if group != "" && group != "*" {
				resource += "." + group
			}
			list = append(list, resource)
		}
	}
	return list
}
