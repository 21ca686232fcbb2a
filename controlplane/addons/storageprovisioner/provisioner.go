package storageprovisioner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/agents"
)

// provisioner creates and deletes volumes for upstream's controller.
type provisioner struct {
	client  kubernetes.Interface
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	spec    func() cluster.Spec
	agents  *agents.Client
	log     *slog.Logger

	placements placements
	troubles   *troubles
}

var _ controller.Provisioner = (*provisioner)(nil)

func newProvisioner(c addons.Cluster, claims corelisters.PersistentVolumeClaimLister, volumes corelisters.PersistentVolumeLister) *provisioner {
	return &provisioner{
		client: c.Client, claims: claims, volumes: volumes, spec: c.Spec, agents: c.Agents, log: c.Log,
		troubles: newTroubles(c.Notify),
	}
}

// Provision has the folder created and describes the volume. For a claim that waited for its pod the scheduler has
// selected the node; if that node cannot hold the volume, the scheduler is asked for another one. For other claims the
// nodes are tried in turn.
func (p *provisioner) Provision(ctx context.Context, o controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	if err := refuse(o); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	var node, path string
	var err error
	state := controller.ProvisioningFinished
	if o.SelectedNodeName != "" {
		node = o.SelectedNodeName
		if path, err = p.createOn(ctx, node, o.PVName); err != nil {
			state = controller.ProvisioningReschedule
		}
	} else {
		node, path, err = p.createAnywhere(ctx, o)
	}
	if unknown(err) {
		// The folder may or may not be created: the next attempt has to be on the same node.
		state = controller.ProvisioningInBackground
	}
	if err != nil {
		p.troubles.add(o.PVC, err.Error()) // the controller logs it and reports it on the claim
		return nil, state, err
	}
	p.troubles.remove(o.PVC)
	p.log.Info("volume created", "volume", o.PVName, "namespace", o.PVC.Namespace, "claim", o.PVC.Name, "node", node)
	return describe(o, node, path), controller.ProvisioningFinished, nil
}

// unknown reports whether an agent may still be working on a request that failed.
func unknown(err error) bool {
	e, ok := errors.AsType[*agents.Error](err)
	return ok && e.Sent && e.Status == 0
}

func (p *provisioner) createOn(ctx context.Context, node, name string) (path string, err error) {
	spec := p.spec()
	n, ok := spec.NodeByName(node)
	if !ok {
		return "", fmt.Errorf("node %s: it is not one of bonsai's nodes; only these can hold such volumes", node)
	}
	path, err = p.agents.MakeVolume(ctx, n, name)
	if e, ok := errors.AsType[*agents.Error](err); ok && e.Status == http.StatusInsufficientStorage {
		err = fmt.Errorf("%w; this is tried again every few seconds", err)
	}
	return path, onNode(n, err)
}

// onNode is an agent's error with the name of its node.
func onNode(n cluster.Node, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("node %s: %w", n.Name, err)
}

// createAnywhere tries one suitable node after the other, those with few volumes first.
func (p *provisioner) createAnywhere(ctx context.Context, o controller.ProvisionOptions) (node, path string, err error) {
	if node, ok := p.placements.unfinished(o.PVName); ok {
		path, err = p.createOn(ctx, node, o.PVName)
		if err == nil || unknown(err) {
			return node, path, err
		}
		p.placements.forget(o.PVName)
	}
	nodes, err := p.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", "", fmt.Errorf("list nodes: %w", err)
	}
	suitable, unfit := suitableNodes(nodes.Items, p.spec(), o.StorageClass.AllowedTopologies)
	var failed []string
	for len(suitable) > 0 {
		node, err := p.placements.choose(o.PVName, suitable, p.volumes)
		if err != nil {
			return "", "", err
		}
		path, err = p.createOn(ctx, node, o.PVName)
		if err == nil || unknown(err) {
			return node, path, err
		}
		p.placements.forget(o.PVName)
		failed = append(failed, err.Error())
		suitable = slices.DeleteFunc(suitable, func(name string) bool { return name == node })
	}
	if len(failed) == 0 {
		return "", "", fmt.Errorf("no node can hold the volume: %s", strings.Join(unfit, "; "))
	}
	return "", "", errors.New(strings.Join(failed, "; ")) // in one line, for an Event
}

// Delete has the folder removed, with all data. If the node is no longer part of the cluster, its disk is gone and the
// data with it. If a node is merely stopped, its volume is kept until it is back.
func (p *provisioner) Delete(ctx context.Context, pv *corev1.PersistentVolume) error {
	p.placements.forget(pv.Name)
	name := nodeOf(pv)
	if name == "" || pv.Spec.Local == nil {
		return fmt.Errorf("volume %s was not created by this provisioner", pv.Name)
	}
	log := p.log.With("volume", pv.Name, "node", name)
	spec := p.spec()
	node, ok := spec.NodeByName(name)
	if !ok {
		log.Info("volume was removed with its node")
		return nil
	}
	err := onNode(node, p.agents.RemoveVolume(ctx, node, pv.Name))
	if err == nil {
		log.Info("volume removed")
		return nil
	}
	if e, ok := errors.AsType[*agents.Error](err); ok && !e.Sent {
		// Planned, but removed from Kubernetes by somebody and not running: it is not expected back.
		if _, gone := p.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(gone) {
			log.Info("volume was removed with its node")
			return nil
		}
	}
	return err
}

// describe returns the object of a volume that exists.
func describe(o controller.ProvisionOptions, node, path string) *corev1.PersistentVolume {
	reclaim := corev1.PersistentVolumeReclaimDelete
	if o.StorageClass.ReclaimPolicy != nil {
		reclaim = *o.StorageClass.ReclaimPolicy
	}
	mode := corev1.PersistentVolumeFilesystem
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: reclaim,
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: o.PVC.Spec.Resources.Requests[corev1.ResourceStorage]},
			VolumeMode:                    &mode,
			MountOptions:                  o.StorageClass.MountOptions,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				// The node's name: kubelets use no other host name, and the planned Node objects carry it.
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
	}
}

// nodeOf reads what describe wrote; it is empty for a volume of another provisioner.
func nodeOf(pv *corev1.PersistentVolume) string {
	if pv.Spec.NodeAffinity == nil || pv.Spec.NodeAffinity.Required == nil {
		return ""
	}
	for _, term := range pv.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key == corev1.LabelHostname && e.Operator == corev1.NodeSelectorOpIn && len(e.Values) == 1 {
				return e.Values[0]
			}
		}
	}
	return ""
}

// infeasible is an error that only another claim or class can fix. The controller recognises it by its status and
// retries only after minutes, or when the class has been replaced.
type infeasible struct{ reason string }

func (e *infeasible) Error() string              { return e.reason }
func (e *infeasible) GRPCStatus() *status.Status { return status.New(codes.InvalidArgument, e.reason) }

// refuse returns which parts of a claim or its class this provisioner does not support. Block volumes never get here.
func refuse(o controller.ProvisionOptions) error {
	claim := o.PVC.Spec
	var reasons []string
	if len(o.StorageClass.Parameters) > 0 {
		reasons = append(reasons, fmt.Sprintf("StorageClass %s has parameters (%s), and this provisioner supports none",
			o.StorageClass.Name, strings.Join(slices.Sorted(maps.Keys(o.StorageClass.Parameters)), ", ")))
	}
	if claim.Selector != nil {
		reasons = append(reasons, "the claim has a selector, which only volumes that exist can match")
	}
	if claim.DataSource != nil || claim.DataSourceRef != nil {
		reasons = append(reasons, "the claim has a dataSource, and volumes are always empty at first")
	}
	if claim.VolumeAttributesClassName != nil && *claim.VolumeAttributesClassName != "" {
		reasons = append(reasons, "the claim has a volumeAttributesClassName, which these volumes do not support")
	}
	if len(reasons) == 0 {
		return nil
	}
	return &infeasible{strings.Join(reasons, "; ")}
}
