package controlplane

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"bonsai/controlplane/addons"
	"bonsai/controlplane/internal/rbac"
)

// hook creates what has to exist before the API server reports that it is ready.
func (cp *ControlPlane) hook(ctx context.Context, client kubernetes.Interface) error {
	if cp.opts.Archive {
		return nil // what is there is all that is to be seen
	}
	return cp.step("apiserver/objects", "Roles, priority classes and nodes", "", func() error {
		ctx, cancel := cp.opts.Scale.Limit(ctx, readyLimit, "the first objects")
		defer cancel()
		g, ctx := errgroup.WithContext(ctx)
		insist := func(f func() error) { g.Go(func() error { return persist(ctx, f) }) }
		if !cp.opts.Config.Spec.UpstreamHooks {
			insist(func() error { return rbac.Ensure(ctx, client) })
		}
		insist(func() error { return ensureOwnRoles(ctx, client, cp.opts.NodeRules) })
		insist(func() error { return ensureDefaultAccount(ctx, client) })
		insist(func() error { return cp.nodes.Ensure(ctx) })
		if cp.opts.ApplyAddons != nil {
			insist(func() error {
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

// ensureDefaultAccount makes the account of pods that name none, in the namespace of users who name none. The controller
// manager makes it as well, but on a busy machine only after the first "kubectl run", which is forbidden without it.
func ensureDefaultAccount(ctx context.Context, client kubernetes.Interface) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceDefault}}
	if err := ensure(ctx, "namespace", client.CoreV1().Namespaces(), namespace, func(*corev1.Namespace) bool { return false }); err != nil {
		return err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	return ensure(ctx, "service account", client.CoreV1().ServiceAccounts(metav1.NamespaceDefault), account,
		func(*corev1.ServiceAccount) bool { return false })
}

// agentRules are what every node agent may do anywhere in the cluster; the parts of addons may do more.
func agentRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		// Pod routes follow the Node objects; the Node authorizer shows a kubelet only its own.
		{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "list", "watch"}},
	}
}

// ensureOwnRoles gives bonsai's two identities that upstream does not have their rights. What exists as wanted is not
// written: a start of an existing cluster changes nothing.
func ensureOwnRoles(ctx context.Context, client kubernetes.Interface, parts addons.NodeRules) error {
	const agents, kubeletClients, agentRole, system = "bonsai:agents", "bonsai:kubelet-clients", "bonsai:agent", metav1.NamespaceSystem
	group := func(name string) []rbacv1.Subject {
		return []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name}}
	}
	ref := func(kind, name string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
	}
	name := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	roles, bindings := client.RbacV1().ClusterRoles(), client.RbacV1().ClusterRoleBindings()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		rules := slices.Concat(agentRules(), parts.Cluster)
		return ensure(ctx, "cluster role", roles, &rbacv1.ClusterRole{ObjectMeta: name(agentRole), Rules: rules}, func(have *rbacv1.ClusterRole) bool {
			defer func() { have.Rules = rules }()
			return !equality.Semantic.DeepEqual(have.Rules, rules) // an older bonsai created it
		})
	})
	for _, binding := range []*rbacv1.ClusterRoleBinding{
		{ObjectMeta: name(agents), RoleRef: ref("ClusterRole", agentRole), Subjects: group(agents)},
		// The API server's own client certificate towards kubelets: exec, logs, port-forward and nothing else.
		{ObjectMeta: name(kubeletClients), RoleRef: ref("ClusterRole", "system:kubelet-api-admin"), Subjects: group(kubeletClients)},
	} {
		g.Go(func() error {
			return ensure(ctx, "cluster role binding", bindings, binding, func(*rbacv1.ClusterRoleBinding) bool { return false })
		})
	}
	g.Go(func() error {
		// A controller of the API server creates the namespace at about this time; roles need it.
		if err := ensure(ctx, "namespace", client.CoreV1().Namespaces(), &corev1.Namespace{ObjectMeta: name(system)}, func(*corev1.Namespace) bool { return false }); err != nil {
			return err
		}
		role := &rbacv1.Role{ObjectMeta: name(agentRole), Rules: parts.System}
		if err := ensure(ctx, "role", client.RbacV1().Roles(system), role, func(have *rbacv1.Role) bool {
			defer func() { have.Rules = role.Rules }()
			return !equality.Semantic.DeepEqual(have.Rules, role.Rules)
		}); err != nil {
			return err
		}
		binding := &rbacv1.RoleBinding{ObjectMeta: name(agents), RoleRef: ref("Role", agentRole), Subjects: group(agents)}
		return ensure(ctx, "role binding", client.RbacV1().RoleBindings(system), binding, func(*rbacv1.RoleBinding) bool { return false })
	})
	return g.Wait()
}

// writer is what ensure needs of a typed client.
type writer[T any] interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (T, error)
	Create(ctx context.Context, object T, o metav1.CreateOptions) (T, error)
	Update(ctx context.Context, object T, o metav1.UpdateOptions) (T, error)
}

// ensure creates an object that does not exist, and updates one that complete had to change. That somebody else is faster
// is not an error.
func ensure[T metav1.Object](ctx context.Context, kind string, client writer[T], want T, complete func(have T) (changed bool)) error {
	have, err := client.Get(ctx, want.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if _, err = client.Create(ctx, want, metav1.CreateOptions{}); apierrors.IsAlreadyExists(err) {
			err = nil
		}
	} else if err == nil && complete(have) {
		_, err = client.Update(ctx, have, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("ensure %s %s: %w", kind, want.GetName(), err)
	}
	return nil
}
