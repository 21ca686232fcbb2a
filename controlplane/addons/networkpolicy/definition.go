package networkpolicy

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/definitions"
)

// packed is the resource definition of ClusterNetworkPolicies as upstream has it. It is that of the experimental channel, which has the
// peers "nodes" and named ports, too.
//
//go:embed definition.json.gz
var packed []byte

// clusterPolicies are what it defines, in the version that agents read.
var clusterPolicies = schema.GroupVersionResource{Group: "policy.networking.k8s.io", Version: "v1beta1", Resource: "clusternetworkpolicies"}

// defineLimit bounds the creation of the definition, and servedPause is between two looks whether it is served.
const (
	defineLimit = 15 * time.Second
	servedPause = 50 * time.Millisecond
)

func definition() definitions.Set {
	return definitions.Set{Of: "ClusterNetworkPolicies", Addon: Name, Packed: packed, Bundle: "policy.networking.k8s.io/bundle-version", Version: "v0.3.0"}
}

// define installs the definition of ClusterNetworkPolicies, replaces what an older version of this addon has installed, and returns when
// it is served. A definition from others is left as it is.
func define(ctx context.Context, c addons.Cluster) error {
	ctx, cancel := c.Scale.Limit(ctx, defineLimit, "the definition of ClusterNetworkPolicies")
	defer cancel()
	if err := install(ctx, c); err != nil {
		return err
	}
	for {
		_, err := c.Dynamic.Resource(clusterPolicies).List(ctx, metav1.ListOptions{Limit: 1, ResourceVersion: "0"})
		if err == nil {
			return nil
		}
		if wait.Pause(ctx, servedPause) != nil {
			return fmt.Errorf("ClusterNetworkPolicies are not served as %s: %w", clusterPolicies.GroupVersion(), err)
		}
	}
}

func install(ctx context.Context, c addons.Cluster) error {
	var have metav1.Object
	if there, err := c.Dynamic.Resource(definitions.Resource).Get(ctx, clusterPolicies.GroupResource().String(), metav1.GetOptions{ResourceVersion: "0"}); err == nil {
		have = there
	} else if !apierrors.IsNotFound(err) {
		return fmt.Errorf("read the definition of ClusterNetworkPolicies: %w", err)
	}
	set := definition()
	if !set.Wants(have) {
		return nil
	}
	list, err := set.Read()
	if err != nil {
		return err
	}
	for _, d := range list { // there is one
		if err := set.Install(ctx, c.Dynamic, d, have); err != nil {
			return err
		}
	}
	return nil
}
