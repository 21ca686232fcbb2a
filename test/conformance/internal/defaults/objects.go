package defaults

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// uncompared are kinds of which a fresh cluster has objects that differ from cluster to cluster, or none that last.
var uncompared = []string{
	"componentstatuses", // made up when they are listed: health, in an old form
	"events", "leases",  // come and go
	"nodes", "csinodes", // kubeadm's plane has none
	"endpoints", "endpointslices", "ipaddresses", // addresses of machines and Services
}

// compared are kinds whose objects the control plane itself makes as a default: here their content counts, too.
var compared = []string{
	"clusterroles", "clusterrolebindings", "roles", "rolebindings", "priorityclasses", "flowschemas",
	"prioritylevelconfigurations", "apiservices", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
	"validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingwebhookconfigurations",
	"validatingwebhookconfigurations", "runtimeclasses", "deviceclasses", "namespaces",
}

// objects: every object of a fresh cluster. The accounts in kube-system show which controllers run: each that has rights
// of its own makes one when it starts.
func (o *observer) objects(ctx context.Context) error {
	for _, r := range o.resources {
		if slices.Contains(uncompared, r.name) {
			continue
		}
		path := "/apis/" + r.group + "/" + r.version + "/" + r.name
		if r.group == "" {
			path = "/api/" + r.version + "/" + r.name
		}
		var list struct{ Items []map[string]any }
		if err := o.get(ctx, path, anyJSON, &list); err != nil {
			return err
		}
		for _, item := range list.Items {
			name, value, err := object(item, slices.Contains(compared, r.name))
			if err != nil {
				return fmt.Errorf("GET %s: %w", path, err)
			}
			if r.name == "clustertrustbundles" {
				name = name[:strings.LastIndex(name, ":")+1] // behind it is a hash of the certificates
			}
			o.add(value, "object %s %s", r.name, name)
		}
	}
	return nil
}

// object returns an object's name, and its content without what differs from cluster to cluster.
func object(item map[string]any, content bool) (name, value string, err error) {
	var meta struct{ Name, Namespace string }
	metadata, _ := item["metadata"].(map[string]any)
	data, err := json.Marshal(metadata)
	if err != nil {
		return "", "", err
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return "", "", err
	}
	name = meta.Name
	if meta.Namespace != "" {
		name = meta.Namespace + "/" + name
	}
	if !content {
		return name, "there", nil
	}
	for _, of := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"} {
		delete(metadata, of)
	}
	delete(item, "status")
	data, err = json.Marshal(item)
	return name, string(data), err
}
