package controlplane

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/config"
	"bonsai/controlplane/internal/etcd"
	"bonsai/controlplane/keyspace"
)

// volumesLimit bounds the wait for nodes that are starting.
const volumesLimit = time.Minute

// Restore is a checkpoint to start with.
type Restore struct {
	// From is the plan of the cluster of the checkpoint at that time. If it is another cluster, its objects are made to fit
	// this one.
	From cluster.Spec
	// Open opens what CopyStore has written.
	Open func() (io.ReadCloser, error)
	// Newest is the newest revision of etcd that is known of, in case the present data cannot be read.
	Newest int64
	// Mark is found in cluster.RestoredFile once the objects are replaced; it may be empty.
	Mark string
}

// CopyStore writes a consistent copy of all objects to what begin returns, as etcd stores them.
func (cp *ControlPlane) CopyStore(ctx context.Context, begin func(cluster.StoreCopy) (io.Writer, error)) error {
	return cp.etcd.Copy(ctx, begin)
}

// Redact writes a copy of etcd's data file from, which nobody has open, to a new file: the objects as they are, without the
// values of Secrets.
func Redact(from, to string) error { return etcd.Rewrite(from, to, keyspace.Redact) }

// DataFile is the file in etcd's folder that has the objects, once etcd has ended.
func DataFile(etcdDir string) string { return filepath.Join(etcdDir, "member", "snap", "db") }

// restoring is what replaces etcd's data; nil if nothing does.
func (cp *ControlPlane) restoring() *etcd.Restoring {
	r := cp.opts.Restore
	if r == nil {
		return nil
	}
	if cp.opts.Archive {
		return &etcd.Restoring{Open: r.Open, Newest: r.Newest}
	}
	spec := cp.opts.Config.Spec
	return &etcd.Restoring{Open: r.Open, Newest: r.Newest, Mark: r.Mark, Edit: func(d *etcd.Data) error {
		if r.From.ID == spec.ID {
			return keyspace.Restore(d, spec)
		}
		ca, err := os.ReadFile(filepath.Join(cp.opts.Config.PKIDir, "ca.crt"))
		if err != nil {
			return err
		}
		return keyspace.Adapt(d, r.From, keyspace.Target{Spec: spec, CA: ca})
	}}
}

// endRestore makes the restored objects the cluster's, now that the API server serves them. In the background, until the
// control plane stops, it creates what nodes no longer have of them.
func (cp *ControlPlane) endRestore() error {
	if cp.opts.Restore == nil {
		return nil
	}
	if err := etcd.Keep(cp.opts.Config.EtcdDir); err != nil {
		return err
	}
	if cp.opts.Archive {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	cp.restored.stop = cancel
	cp.restored.running.Go(func() {
		ctx, cancel := cp.opts.Scale.Limit(ctx, volumesLimit, "the nodes to have the folders of volumes")
		defer cancel()
		if err := persist(ctx, func() error {
			return makeVolumes(ctx, cp.client, cp.opts.Config.Spec, cp.agents.MakeVolume)
		}); err != nil {
			cp.opts.Log.Warn("not every restored volume has a folder; pods that use one without do not start", "err", err)
		}
	})
	return nil
}

// makeVolumes has folders created for the volumes on nodes whose folder was deleted after the checkpoint. Others stay as
// they are.
func makeVolumes(ctx context.Context, client kubernetes.Interface, spec cluster.Spec,
	create func(ctx context.Context, n cluster.Node, name string) (string, error),
) error {
	list, err := client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, pv := range list.Items {
		if pv.Spec.Local == nil || pv.Annotations["pv.kubernetes.io/provisioned-by"] != config.VolumeProvisioner {
			continue
		}
		if n, planned := spec.NodeByName(nodeOf(pv)); planned && !n.Stopped {
			if _, err := create(ctx, n, pv.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// nodeOf is the node that has a volume's data.
func nodeOf(pv corev1.PersistentVolume) string {
	if pv.Spec.NodeAffinity == nil || pv.Spec.NodeAffinity.Required == nil {
		return ""
	}
	for _, term := range pv.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key == corev1.LabelHostname && len(e.Values) == 1 {
				return e.Values[0]
			}
		}
	}
	return ""
}
