package controlplane

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/internal/rbac"
)

// hook creates what has to exist before the API server calls itself ready.
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
		ensure(func() error { return ensureNodes(ctx, client, cp.opts.Config.Spec) })
		if cp.opts.ApplyAddons != nil {
			ensure(func() error {
				return cp.step("apiserver/addons", "Addons", "", func() error { return cp.opts.ApplyAddons(ctx, cp) })
			})
		}
		return g.Wait()
	})
}

// persist repeats f until it succeeds or ctx ends, and returns f's last error then. A failed hook ends the process,
// and on a slow machine the first try may come too early: admission plugins refuse every write ("not yet ready to
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

// ensureOwnRoles gives bonsai's two identities outside of upstream's defaults their rights.
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
				err = update() // an older bonsai made it
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
		// A controller of the API server makes the namespace about now; roles need it to be there.
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

// ensureNodes creates the planned Node objects ahead of their kubelets, with pod CIDR, role and address, so that no
// node has to wait for a controller to become Ready, and kube-proxy finds its node's address at once.
func ensureNodes(ctx context.Context, client kubernetes.Interface, spec cluster.Spec) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range spec.Nodes {
		g.Go(func() error {
			if err := ensureNode(ctx, client, spec, n); err != nil {
				return fmt.Errorf("ensure node object %s: %w", n.Name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func ensureNode(ctx context.Context, client kubernetes.Interface, spec cluster.Spec, n cluster.Node) error {
	labels := map[string]string{
		corev1.LabelHostname: n.Name,
		// What kubectl shows as the role. The control plane is no node: it runs on the host.
		"node-role.kubernetes.io/worker": "",
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: labels},
		Spec: corev1.NodeSpec{
			PodCIDR: n.PodCIDR.String(), PodCIDRs: []string{n.PodCIDR.String()},
			ProviderID: "bonsai://" + spec.Name + "/" + n.Name,
		},
	}
	created, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return adoptNode(ctx, client, node)
	}
	if err != nil {
		return err
	}
	created.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: n.IP.String()},
		{Type: corev1.NodeHostName, Address: n.Name},
	}
	_, err = client.CoreV1().Nodes().UpdateStatus(ctx, created, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return nil // the kubelet was faster, and knows its address itself
	}
	return err
}

// adoptNode completes a Node object that an early kubelet made itself, or that an earlier start left.
func adoptNode(ctx context.Context, client kubernetes.Interface, want *corev1.Node) error {
	have, err := client.CoreV1().Nodes().Get(ctx, want.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if have.Spec.PodCIDR != "" {
		return nil
	}
	have = have.DeepCopy()
	have.Spec.PodCIDR, have.Spec.PodCIDRs = want.Spec.PodCIDR, want.Spec.PodCIDRs
	if have.Labels == nil {
		have.Labels = map[string]string{}
	}
	maps.Copy(have.Labels, want.Labels)
	_, err = client.CoreV1().Nodes().Update(ctx, have, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return adoptNode(ctx, client, want)
	}
	return err
}
