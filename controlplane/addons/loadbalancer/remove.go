package loadbalancer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	servicehelper "k8s.io/cloud-provider/service/helpers"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

// remover takes everything back when the addon is disabled.
type remover struct {
	mu sync.Mutex // guards the rest
	// released says that no Service has anything of the addon any more.
	released bool
	// silenced has the nodes announce nothing.
	silenced addons.OnNodes
}

// Remove implements addons.Remover: Services lose their addresses, as they do when a cloud's load balancer is deleted. The
// finalizer of upstream's controller goes as well, or nobody could delete them.
func (a *Addon) Remove(ctx context.Context, c addons.Cluster) error {
	r := &a.removed
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.released {
		if err := releaseAll(ctx, c); err != nil {
			return err
		}
		r.released = true // what others do with Services from now on is not touched
	}
	r.silenced.Do(ctx, c, func(ctx context.Context, n cluster.Node) error {
		_, err := c.Agents.Announce(ctx, n, cluster.Announcement{Sequence: time.Now().UnixNano(), Addresses: []cluster.AnnouncedAddress{}})
		return err
	})
	return nil
}

func releaseAll(ctx context.Context, c addons.Cluster) error {
	list, err := c.Client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list Services: %w", err)
	}
	spec := c.Spec()
	var errs []error
	for i := range list.Items {
		s := &list.Items[i]
		// An address elsewhere is that of another load balancer, which has the same controller.
		if a := addressOf(s); served(s) && servicehelper.HasLBFinalizer(s) && (!a.IsValid() || spec.Subnet.Contains(a)) {
			errs = append(errs, release(ctx, c, s))
		}
	}
	return errors.Join(errs...)
}

// release takes the address of a Service back.
func release(ctx context.Context, c addons.Cluster, s *corev1.Service) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{
			// Of a Service that was changed meanwhile nothing is overwritten.
			"resourceVersion": s.ResourceVersion,
			"finalizers":      slices.DeleteFunc(slices.Clone(s.Finalizers), func(f string) bool { return f == servicehelper.LoadBalancerCleanupFinalizer }),
		},
		"status": map[string]any{"loadBalancer": nil},
	})
	if err != nil {
		return err
	}
	_, err = c.Client.CoreV1().Services(s.Namespace).Patch(ctx, s.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("take back the address of Service %s: %w", keyOf(s), err)
	}
	return nil
}

// forget has everything done again: the addon runs.
func (r *remover) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.released = false
	r.silenced.Forget()
}
