// Package clusterfile reads and writes files that say what a cluster should be:
//
//	apiVersion: bonsai.dev/v1alpha1
//	kind: Cluster
//	nodes: 3
//
// Parse turns such a file into a plan.Wish and reports everything that is wrong with it, each with its line. View makes the
// file of a cluster that exists. Schema is the JSON schema by which editors check files while they are written. All three
// are driven by the types below: a field is added here, checked in wish.go and written in view.go.
//
// What a file does not mention stays as it is in a cluster that exists. Nodes and ports that it mentions are all that
// there are; registries and addons are mentioned one by one.
package clusterfile

import "go.yaml.in/yaml/v3"

// The values by which a file is recognised.
const (
	APIVersion = "bonsai.dev/v1alpha1"
	Kind       = "Cluster"
)

// document is the contents of a file. The tags describe a field, or the entries of its list, for decoder and schema: doc,
// enum, min, max, required, filled (not empty), and for the schema alone pattern, and of, which lists types that are
// possible besides that of the field.
type document struct {
	APIVersion        string              `yaml:"apiVersion" enum:"bonsai.dev/v1alpha1" required:"true" doc:"Version of the file's format."`
	Kind              string              `yaml:"kind" enum:"Cluster" required:"true" doc:"What the file describes."`
	Name              string              `yaml:"name,omitempty" filled:"true" pattern:"^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$" doc:"Name of the cluster. The option -p has precedence."`
	KubernetesVersion string              `yaml:"kubernetesVersion,omitempty" filled:"true" of:"number" doc:"stable, the built-in version, or one of the three minors before it, which it emulates. It cannot be changed later."`
	APIPort           int                 `yaml:"apiPort,omitempty" min:"1" max:"65535" doc:"Port of the API server on 127.0.0.1; otherwise 6443 or a free one. It can be changed while the cluster is stopped."`
	Nodes             *nodes              `yaml:"nodes,omitempty" min:"0" max:"100" doc:"The number of nodes, or a list of them. A node that is no longer there is removed by apply."`
	ControlPlaneTaint *bool               `yaml:"controlPlaneTaint,omitempty" doc:"Keep pods that do not tolerate it off nodes with the role control-plane, as kubeadm does."`
	Network           *network            `yaml:"network,omitempty" doc:"Ranges of addresses; otherwise free ones. They cannot be changed later."`
	DNS               *dns                `yaml:"dns,omitempty" doc:"Names that pods look up."`
	Ports             []string            `yaml:"ports,omitempty" doc:"Ports of this machine that lead into the cluster, each as [ADDRESS:]PORT:TARGET[@NODE][/udp]. A target is a port of the nodes or NAMESPACE/NAME:PORT of a Service. A port that is no longer there is closed."`
	Mounts            []mount             `yaml:"mounts,omitempty" doc:"Files and folders of the engine's machine that all nodes have, each as HOST:PATH[:ro]. One that is no longer there is removed, which recreates the containers of the nodes."`
	Registries        map[string]registry `yaml:"registries,omitempty" doc:"Where images come from, by the host name of their registry; * stands for every registry."`
	CACertificates    []string            `yaml:"caCertificates,omitempty" doc:"PEM certificates of authorities that nodes trust when they pull, or paths of files that have them, absolute or beside the file. Pods find them in /etc/bonsai/trust of the node."`
	Proxy             *proxy              `yaml:"proxy,omitempty" enum:"environment" doc:"Proxy for pulls, or environment for that of the environment, which counts otherwise unless a file has chosen one before."`
	Components        []string            `yaml:"components,omitempty" enum:"etcd,apiserver,controller-manager,scheduler,kube-apiserver,kube-controller-manager,kube-scheduler,all" doc:"Components of the control plane that run; all of them if it is not given. etcd and apiserver cannot be left out; with nodes, only scheduler can. A change restarts the control plane."`
	FeatureGates      map[string]bool     `yaml:"featureGates,omitempty" doc:"Feature gates of Kubernetes that are turned on (true) or off (false) in all components. A change restarts the control plane and the kubelets."`
	APIServer         *apiServer          `yaml:"apiServer,omitempty" doc:"Settings of kube-apiserver. A change restarts the control plane."`
	ControllerManager *component          `yaml:"controllerManager,omitempty" doc:"Settings of kube-controller-manager. A change restarts the control plane."`
	Scheduler         *component          `yaml:"scheduler,omitempty" doc:"Settings of kube-scheduler. A change restarts the control plane."`
	Kubelet           *settings           `yaml:"kubelet,omitempty" doc:"A part of a KubeletConfiguration, or the path of a file that has it, for all nodes. A change restarts the kubelets."`
	Addons            map[string]addon    `yaml:"addons,omitempty" doc:"Addons to enable (true, or with their values) or disable (false). Those that an enabled one needs are enabled too."`
	Manifests         []string            `yaml:"manifests,omitempty" doc:"Files and folders with objects of Kubernetes, or https URLs of them, that are applied when the cluster runs, in this order, and again when they change. Paths are absolute or beside the file. Objects stay when a manifest is removed."`
	AutoPause         string              `yaml:"autoPause,omitempty" filled:"true" pattern:"^(off|([0-9]+(\\.[0-9]+)?(h|m|s))+)$" doc:"After how long without a request of a user the cluster pauses, such as 10m, at least 10s; off for never. It takes effect at once."`
	UpstreamHooks     *bool               `yaml:"upstreamHooks,omitempty" doc:"Use Kubernetes' own, slower bootstrap of roles and priority classes. It can be changed while the cluster is stopped."`
}

// nodes is a number or a list.
type nodes struct {
	Count *int
	List  []nodeGroup
}

func (n *nodes) as(kind yaml.Kind) any {
	switch kind {
	case yaml.ScalarNode:
		n.Count = new(int)
		return n.Count
	case yaml.SequenceNode:
		n.List = []nodeGroup{}
		return &n.List
	}
	return nil
}

func (n nodes) MarshalYAML() (any, error) {
	if n.Count != nil {
		return *n.Count, nil
	}
	return n.List, nil
}

// nodeGroup are nodes with the same settings.
type nodeGroup struct {
	Role   string            `yaml:"role,omitempty" enum:"control-plane,worker" doc:"Which label of a role the nodes get. If no node has a role, the first one is control-plane."`
	Count  *int              `yaml:"count,omitempty" min:"1" max:"100" doc:"How many such nodes; 1 if it is not given."`
	CPUs   *float64          `yaml:"cpus,omitempty" min:"0.1" max:"1024" doc:"Processors of each; no limit if it is not given."`
	Memory string            `yaml:"memory,omitempty" of:"integer" doc:"Memory of each, such as 2Gi or 1500Mi, at least 256Mi; no limit if it is not given. A number alone is megabytes."`
	Labels map[string]string `yaml:"labels,omitempty" of:"number,boolean" doc:"Labels of the Node objects."`
	Taints []string          `yaml:"taints,omitempty" doc:"Taints of the Node objects, each as KEY=VALUE:EFFECT with the effect NoSchedule, PreferNoSchedule or NoExecute."`
	Mounts []mount           `yaml:"mounts,omitempty" doc:"Files and folders of the engine's machine that these nodes have besides those of all nodes, each as HOST:PATH[:ro]."`
}

type network struct {
	Subnet        string `yaml:"subnet,omitempty" doc:"Network of the nodes, an IPv4 range from /8 to /24."`
	PodSubnet     string `yaml:"podSubnet,omitempty" doc:"Range of the pods, from /8 to /17; each node has a /24 of it."`
	ServiceSubnet string `yaml:"serviceSubnet,omitempty" doc:"Range of the Services, from /12 to /24; cluster DNS has its tenth address."`
}

type dns struct {
	Search string `yaml:"search,omitempty" enum:"auto,all,none" doc:"Search domains that pods get from this machine: those without a wildcard (auto), all or none. It can be changed while the cluster is stopped."`
}

type registry struct {
	Mirrors []mirror `yaml:"mirrors" required:"true" filled:"true" doc:"Endpoints that are asked before the registry, in order; an empty list removes those that there are."`
}

// mirror is a URL, or more.
type mirror struct {
	URL        string `yaml:"url" required:"true" filled:"true" doc:"URL with https or http; https if it has neither."`
	Username   string `yaml:"username,omitempty" doc:"User name for the endpoint."`
	Password   string `yaml:"password,omitempty" of:"number" doc:"Password for the endpoint."`
	CA         string `yaml:"ca,omitempty" doc:"PEM certificates of authorities to trust for this endpoint."`
	SkipVerify bool   `yaml:"skipVerify,omitempty" doc:"Accept any certificate of this endpoint."`
}

// mirrorFields is a mirror that is a mapping.
type mirrorFields mirror

func (m *mirror) as(kind yaml.Kind) any {
	switch kind {
	case yaml.ScalarNode:
		return &m.URL
	case yaml.MappingNode:
		return (*mirrorFields)(m)
	}
	return nil
}

func (m mirror) MarshalYAML() (any, error) {
	if m == (mirror{URL: m.URL}) {
		return m.URL, nil
	}
	return mirrorFields(m), nil
}

// proxy is a word or the proxies.
type proxy struct {
	Environment string
	proxyFields
}

type proxyFields struct {
	HTTP    string `yaml:"http,omitempty" doc:"Proxy for registries that speak http, as a URL or HOST:PORT."`
	HTTPS   string `yaml:"https,omitempty" doc:"Proxy for registries that speak https, as a URL or HOST:PORT."`
	NoProxy string `yaml:"noProxy,omitempty" doc:"What is reached directly, in the form of the variable NO_PROXY."`
}

func (p *proxy) as(kind yaml.Kind) any {
	switch kind {
	case yaml.ScalarNode:
		return &p.Environment
	case yaml.MappingNode:
		return &p.proxyFields
	}
	return nil
}

func (p proxy) MarshalYAML() (any, error) { return p.proxyFields, nil }

// union is a type that several kinds of YAML can fill.
type union interface {
	// as returns a pointer to what a node of that kind is decoded into, nil if that kind is not possible.
	as(kind yaml.Kind) any
}
