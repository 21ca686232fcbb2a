// Package kube has the values with which bonsai's programs describe what is in a cluster: the objects of the Kubernetes
// API as rows, a pod in detail, Events, Services, log lines, forwarded ports, and the actions on objects. The terminal
// UI shows them, the command line prints them, and they are sent as JSON. The cluster itself, its nodes and components
// are in package cluster.
// components are package cluster's.
//
// They hold facts and no sentences: times are times and states are words of the API. The program that shows a value
// puts it into words. Strings are as they come from the cluster, including control characters: the program that shows
// them makes them harmless. Like package cluster, this one imports only the standard library.
package kube

import "strings"

// ResourceType is one type of the API.
type ResourceType struct {
	// Group, Version and Resource are as in paths of the API: "apps", "v1", "deployments".
	Group    string `json:"group,omitempty"`
	Version  string `json:"version"`
	Resource string `json:"resource"`
	Kind     string `json:"kind"`
	// Namespaced objects belong to a namespace, all others to the cluster.
	Namespaced bool `json:"namespaced"`
	// Short are the names that kubectl takes as well: "deploy".
	Short []string `json:"short,omitempty"`
	// Verbs are what the API server allows with the type.
	Verbs []string `json:"verbs,omitempty"`
}

// PodType is the type of pods, with NodeType and ServiceType one of those that need no request to the API server.
func PodType() ResourceType {
	return ResourceType{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true, Short: []string{"po"}}
}

// NodeType is the type of nodes.
func NodeType() ResourceType {
	return ResourceType{Version: "v1", Resource: "nodes", Kind: "Node", Short: []string{"no"}}
}

// ServiceType is the type of Services.
func ServiceType() ResourceType {
	return ResourceType{Version: "v1", Resource: "services", Kind: "Service", Namespaced: true, Short: []string{"svc"}}
}

// Ref names one object. UID may be empty; where it is not, an action on an object of another UID fails.
type Ref struct {
	Type      ResourceType `json:"type"`
	Namespace string       `json:"namespace,omitempty"`
	Name      string       `json:"name"`
	UID       string       `json:"uid,omitempty"`
}

// Key identifies an object, also of two that had the same name one after the other.
func (r *Ref) Key() string {
	return strings.Join([]string{r.Type.Group, r.Type.Resource, r.Namespace, r.Name, r.UID}, "/")
}

// Object names an object whose namespace is known from the context: an owner, what an Event is about. Kind is as in the
// API ("Pod").
type Object struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// String is "Kind/name", or empty for no object.
func (o Object) String() string {
	if o == (Object{}) {
		return ""
	}
	return o.Kind + "/" + o.Name
}
