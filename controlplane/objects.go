package controlplane

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"bonsai/controlplane/addons"
	"bonsai/controlplane/internal/rbac"
)

// hook creates what has to exist before the API server reports that it is ready.
func (cp *ControlPlane) hook(ctx context.Context, client kubernetes.Interface) error {
	return cp.step("apiserver/objects", "Roles, priority classes and nodes", "", func() error {
		ctx, cancel := cp.opts.Scale.Limit(ctx, readyLimit, "the first objects")
		defer cancel()
		g, ctx := errgroup.WithContext(ctx)
		ensure := func(f func() error) { g.Go(func() error { return persist(ctx, f) }) }
		if !cp.opts.Config.Spec.UpstreamHooks {
			ensure(func() error { return rbac.Ensure(ctx, client) })
		}
		ensure(func() error { return ensureOwnRoles(ctx, client, cp.opts.NodeRules) })
		ensure(func() error { return cp.nodes.Ensure(ctx) })
		if cp.opts.ApplyAddons != nil {
			ensure(func() error {
				return cp.step("apiserver/addons", "Addons", "", func() error { return cp.opts.ApplyAddons(ctx, cp) })
			})
		}
		return g.Wait()
	})
}

// persist repeats f until it succeeds or ctx ends, and then returns f's last error. A failed hook ends the process, and
// on a slow machine the first attempt may come too early: admission plugins refuse every write ("not yet ready to
// handle request") while their informers have not synced within ten seconds, a limit that upstream does not scale.
func persist(ctx context.Context, f func() error) error {
	var last error
	_ = wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(context.Context) (bool, error) {
		last = f()
		return last == nil, nil
	})
	return last
}

// agentRules are what every node agent may do anywhere in the cluster; the parts of addons may do more.
func agentRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		// Pod routes follow the Node objects; the Node authorizer shows a kubelet only its own.
		{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "list", "watch"}},
	}
}

// ensureOwnRoles gives bonsai's two identities that upstream does not have their rights.
func ensureOwnRoles(ctx context.Context, client kubernetes.Interface, parts addons.NodeRules) error {
	const agents, kubeletClients = "bonsai:agents", "bonsai:kubelet-clients"
	group := func(name string) []rbacv1.Subject {
		return []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name}}
	}
	ref := func(kind, name string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
	}
	name := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	g, ctx := errgroup.WithContext(ctx)
	ensure := func(what string, create, update func() error) {
		g.Go(func() error {
			err := create()
			if apierrors.IsAlreadyExists(err) && update != nil {
				err = update() // an older bonsai created it
			}
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("ensure %s: %w", what, err)
			}
			return nil
		})
	}
	role := &rbacv1.ClusterRole{ObjectMeta: name("bonsai:agent"), Rules: slices.Concat(agentRules(), parts.Cluster)}
	ensure("cluster role "+role.Name, func() error {
		_, err := client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
		return err
	}, func() error {
		_, err := client.RbacV1().ClusterRoles().Update(ctx, role, metav1.UpdateOptions{})
		return err
	})
	for _, binding := range []*rbacv1.ClusterRoleBinding{
		{ObjectMeta: name(agents), RoleRef: ref("ClusterRole", role.Name), Subjects: group(agents)},
		// The API server's own client certificate towards kubelets: exec, logs, port-forward and nothing else.
		{ObjectMeta: name(kubeletClients), RoleRef: ref("ClusterRole", "system:kubelet-api-admin"), Subjects: group(kubeletClients)},
	} {
		ensure("cluster role binding "+binding.Name, func() error {
			_, err := client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
			return err
		}, nil)
	}
	system := metav1.NamespaceSystem
	ensure("roles in "+system, func() error {
		// A controller of the API server creates the namespace at about this time; roles need it.
		_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: name(system)}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		role := &rbacv1.Role{ObjectMeta: name("bonsai:agent"), Rules: parts.System}
		if _, err := client.RbacV1().Roles(system).Create(ctx, role, metav1.CreateOptions{}); apierrors.IsAlreadyExists(err) {
			if _, err := client.RbacV1().Roles(system).Update(ctx, role, metav1.UpdateOptions{}); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		binding := &rbacv1.RoleBinding{ObjectMeta: name(agents), RoleRef: ref("Role", role.Name), Subjects: group(agents)}
		_, err = client.RbacV1().RoleBindings(system).Create(ctx, binding, metav1.CreateOptions{})
		return err
	}, nil)
	return g.Wait()
}
