package condition

import (
	"slices"
	"strings"
)

// Kind is a type of objects that conditions can be about. Group, Version and Resource are where the API server has it.
type Kind struct {
	Group, Version, Resource, Name string
	Cluster                        bool // its objects are in no namespace
}

// APIVersion is the field of that name in a manifest.
func (k Kind) APIVersion() string { return strings.TrimPrefix(k.Group+"/"+k.Version, "/") }

// singular is how a condition names one object ("networkpolicy").
func (k Kind) singular() string { return strings.ToLower(k.Name) }

// kinds are all types that lessons use. One that is missing is a line here.
var kinds = []Kind{
	{"", "v1", "pods", "Pod", false},
	{"", "v1", "services", "Service", false},
	{"", "v1", "configmaps", "ConfigMap", false},
	{"", "v1", "secrets", "Secret", false},
	{"", "v1", "serviceaccounts", "ServiceAccount", false},
	{"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", false},
	{"", "v1", "resourcequotas", "ResourceQuota", false},
	{"", "v1", "limitranges", "LimitRange", false},
	{"", "v1", "events", "Event", false},
	{"", "v1", "persistentvolumes", "PersistentVolume", true},
	{"", "v1", "namespaces", "Namespace", true},
	{"", "v1", "nodes", "Node", true},
	{"apps", "v1", "deployments", "Deployment", false},
	{"apps", "v1", "replicasets", "ReplicaSet", false},
	{"apps", "v1", "statefulsets", "StatefulSet", false},
	{"apps", "v1", "daemonsets", "DaemonSet", false},
	{"batch", "v1", "jobs", "Job", false},
	{"batch", "v1", "cronjobs", "CronJob", false},
	{"autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", false},
	{"policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", false},
	{"networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", false},
	{"networking.k8s.io", "v1", "ingresses", "Ingress", false},
	{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", false},
	{"rbac.authorization.k8s.io", "v1", "roles", "Role", false},
	{"rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", false},
	{"storage.k8s.io", "v1", "storageclasses", "StorageClass", true},
	{"scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", true},
	{"gateway.networking.k8s.io", "v1", "gateways", "Gateway", false},
	{"gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute", false},
}

// short are the names besides the kind's own.
var short = map[string]string{
	"svc": "service", "cm": "configmap", "sa": "serviceaccount", "pvc": "persistentvolumeclaim", "pv": "persistentvolume",
	"quota": "resourcequota", "ns": "namespace", "deploy": "deployment", "rs": "replicaset", "sts": "statefulset", "ds": "daemonset",
	"cj": "cronjob", "hpa": "horizontalpodautoscaler", "pdb": "poddisruptionbudget", "netpol": "networkpolicy", "ing": "ingress",
}

// Kinds are all of them.
func Kinds() []Kind { return slices.Clone(kinds) }

// KindOf finds the kind of a manifest.
func KindOf(apiVersion, kind string) (Kind, bool) {
	for _, k := range kinds {
		if k.Name == kind && k.APIVersion() == apiVersion {
			return k, true
		}
	}
	return Kind{}, false
}

// kindNamed finds a kind by the word for one object, or, with many, by that for several.
func kindNamed(word string, many bool) (Kind, bool) {
	word = strings.ToLower(word)
	if full, ok := short[word]; ok && !many {
		word = full
	}
	for _, k := range kinds {
		if !many && k.singular() == word || many && k.Resource == word {
			return k, true
		}
	}
	return Kind{}, false
}

var (
	events, _      = kindNamed("event", false)
	endpointSlices = Kind{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", false}
)
