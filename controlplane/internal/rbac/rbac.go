// Package rbac creates at start what upstream's two slow post-start hooks create: the default RBAC roles and bindings
// (rbac/bootstrap-roles) and the system priority classes.
//
// Upstream waits a fixed second and then handles about 150 objects one after the other. Here the same lists go through
// the same reconciliation code, many in parallel and with one LIST per kind instead of a GET per object; a test
// compares the result object by object. Sources: pkg/registry/rbac/rest/storage_rbac.go and
// pkg/registry/scheduling/rest/storage_scheduling.go of Kubernetes 1.37.
package rbac

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingapi "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-helpers/auth/rbac/reconciliation"
	schedulingv1 "k8s.io/kubernetes/pkg/apis/scheduling/v1"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

// Replaces are the names of the upstream hooks that Ensure replaces.
var Replaces = []string{"rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes"}

// parallel limits simultaneous requests. More gains nothing: the server on the other end shares our cores.
const parallel = 16

// Ensure creates or completes all default roles, bindings and priority classes. It returns the first error that
// remains after the others have been tried; calling it again is safe and cheap: what is
// there as wanted is not written.
func Ensure(ctx context.Context, client kubernetes.Interface) error {
	existingRoles, err := client.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list cluster roles: %w", err)
	}
	existingBindings, err := client.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list cluster role bindings: %w", err)
	}
	existingClasses, err := client.SchedulingV1().PriorityClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list priority classes: %w", err)
	}
	roles := &clusterRoles{ClusterRoleModifier: reconciliation.ClusterRoleModifier{Client: client.RbacV1().ClusterRoles()}, listed: map[string]*rbacv1.ClusterRole{}}
	for i := range existingRoles.Items {
		roles.listed[existingRoles.Items[i].Name] = &existingRoles.Items[i]
	}
	bindings := &clusterRoleBindings{ClusterRoleBindingClientAdapter: reconciliation.ClusterRoleBindingClientAdapter{Client: client.RbacV1().ClusterRoleBindings()}, listed: map[string]*rbacv1.ClusterRoleBinding{}}
	for i := range existingBindings.Items {
		bindings.listed[existingBindings.Items[i].Name] = &existingBindings.Items[i]
	}

	var g errgroup.Group
	g.SetLimit(parallel)
	for _, role := range append(bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles()...) {
		g.Go(func() error {
			_, err := (&reconciliation.ReconcileRoleOptions{
				Role: reconciliation.ClusterRoleRuleOwner{ClusterRole: &role}, Client: roles, Confirm: true,
			}).Run()
			return wrap("cluster role", role.Name, err)
		})
	}
	for _, binding := range append(bootstrappolicy.ClusterRoleBindings(), bootstrappolicy.ControllerRoleBindings()...) {
		g.Go(func() error {
			_, err := (&reconciliation.ReconcileRoleBindingOptions{
				RoleBinding: reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: &binding}, Client: bindings, Confirm: true,
			}).Run()
			return wrap("cluster role binding", binding.Name, err)
		})
	}
	// Namespaced ones are few; their upstream client creates a missing namespace.
	for namespace, roles := range bootstrappolicy.NamespaceRoles() {
		for _, role := range roles {
			g.Go(func() error {
				_, err := (&reconciliation.ReconcileRoleOptions{
					Role: reconciliation.RoleRuleOwner{Role: &role}, Confirm: true,
					Client: reconciliation.RoleModifier{Client: client.RbacV1(), NamespaceClient: client.CoreV1().Namespaces()},
				}).Run()
				return wrap("role", namespace+"/"+role.Name, err)
			})
		}
	}
	for namespace, bindings := range bootstrappolicy.NamespaceRoleBindings() {
		for _, binding := range bindings {
			g.Go(func() error {
				_, err := (&reconciliation.ReconcileRoleBindingOptions{
					RoleBinding: reconciliation.RoleBindingAdapter{RoleBinding: &binding}, Confirm: true,
					Client: reconciliation.RoleBindingClientAdapter{Client: client.RbacV1(), NamespaceClient: client.CoreV1().Namespaces()},
				}).Run()
				return wrap("role binding", namespace+"/"+binding.Name, err)
			})
		}
	}
	for _, class := range schedulingv1.SystemPriorityClasses() {
		if slices.ContainsFunc(existingClasses.Items, func(c schedulingapi.PriorityClass) bool { return c.Name == class.Name }) {
			continue
		}
		g.Go(func() error {
			_, err := client.SchedulingV1().PriorityClasses().Create(ctx, class, metav1.CreateOptions{})
			return wrap("priority class", class.Name, err)
		})
	}
	return g.Wait()
}

func wrap(kind, name string, err error) error {
	// Something else (an upstream hook, an earlier attempt) was faster, with the same result.
	if err == nil || apierrors.IsAlreadyExists(err) {
		return nil
	}
	return fmt.Errorf("ensure %s %s: %w", kind, name, err)
}

// clusterRoles answers Get from one earlier LIST.
type clusterRoles struct {
	reconciliation.ClusterRoleModifier
	listed map[string]*rbacv1.ClusterRole
}

func (c *clusterRoles) Get(namespace, name string) (reconciliation.RuleOwner, error) {
	if role, ok := c.listed[name]; ok {
		return reconciliation.ClusterRoleRuleOwner{ClusterRole: role.DeepCopy()}, nil
	}
	return nil, apierrors.NewNotFound(rbacv1.Resource("clusterroles"), name)
}

// clusterRoleBindings answers Get from one earlier LIST.
type clusterRoleBindings struct {
	reconciliation.ClusterRoleBindingClientAdapter
	listed map[string]*rbacv1.ClusterRoleBinding
}

func (c *clusterRoleBindings) Get(namespace, name string) (reconciliation.RoleBinding, error) {
	if binding, ok := c.listed[name]; ok {
		return reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: binding.DeepCopy()}, nil
	}
	return nil, apierrors.NewNotFound(rbacv1.Resource("clusterrolebindings"), name)
}
