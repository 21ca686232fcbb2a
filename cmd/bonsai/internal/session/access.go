package session

import (
	"context"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"bonsai/bootstrap/kube"
	"bonsai/cmd/bonsai/internal/access"
)

// Access asks the API server whether somebody may do something, and lists all whom RBAC allows it.
func (s *Session) Access(ctx context.Context, q kube.AccessQuery) (kube.Access, error) {
	const op = "ask who may do it"
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return kube.Access{}, err
	}
	of := &authorizationv1.ResourceAttributes{
		Namespace: q.Namespace, Verb: q.Verb, Group: q.Type.Group, Version: q.Type.Version, Resource: q.Type.Resource, Subresource: q.Subresource, Name: q.Name,
	}
	var status authorizationv1.SubjectAccessReviewStatus
	if q.Who == (kube.Subject{}) {
		review, err := c.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: of},
		}, metav1.CreateOptions{})
		if err != nil {
			return kube.Access{}, s.explain(ctx, op, err)
		}
		status = review.Status
	} else {
		spec := authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: of}
		switch q.Who.Kind {
		case rbacv1.ServiceAccountKind:
			spec.User = serviceaccount.MakeUsername(q.Who.Namespace, q.Who.Name)
			spec.Groups = append(serviceaccount.MakeGroupNames(q.Who.Namespace), "system:authenticated")
		case rbacv1.GroupKind:
			spec.Groups = []string{q.Who.Name, "system:authenticated"}
		default:
			spec.User, spec.Groups = q.Who.Name, []string{"system:authenticated"}
		}
		review, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
		if err != nil {
			return kube.Access{}, s.explain(ctx, op, err)
		}
		status = review.Status
	}
	rules, err := s.rules(ctx, c, op)
	if err != nil {
		return kube.Access{}, err
	}
	return kube.Access{Allowed: status.Allowed, Reason: status.Reason, Grants: rules.Who(q)}, nil
}

// Rights are the rules that RBAC gives somebody, with the roles and bindings that they come from.
func (s *Session) Rights(ctx context.Context, who kube.Subject) ([]kube.Right, error) {
	const op = "read what somebody may do"
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return nil, err
	}
	rules, err := s.rules(ctx, c, op)
	if err != nil {
		return nil, err
	}
	return rules.Of(who), nil
}

// rules reads all roles and bindings.
func (s *Session) rules(limited context.Context, c *conn, op string) (*access.Rules, error) {
	r, rbac := &access.Rules{}, c.client.RbacV1()
	group, ctx := errgroup.WithContext(limited)
	gather(ctx, group, &r.ClusterRoles, rbac.ClusterRoles().List, func(l *rbacv1.ClusterRoleList) []rbacv1.ClusterRole { return l.Items })
	gather(ctx, group, &r.Roles, rbac.Roles("").List, func(l *rbacv1.RoleList) []rbacv1.Role { return l.Items })
	gather(ctx, group, &r.ClusterRoleBindings, rbac.ClusterRoleBindings().List, func(l *rbacv1.ClusterRoleBindingList) []rbacv1.ClusterRoleBinding { return l.Items })
	gather(ctx, group, &r.RoleBindings, rbac.RoleBindings("").List, func(l *rbacv1.RoleBindingList) []rbacv1.RoleBinding { return l.Items })
	if err := group.Wait(); err != nil {
		return nil, s.explain(limited, op, err)
	}
	return r, nil
}
