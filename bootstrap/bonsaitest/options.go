package bonsaitest

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Option changes what is started.
type Option func(*settings)

// settings are what options say.
type settings struct {
	executable string
	home       string
	nodes      int
	components []string // nil: all
	flags      []string
	limit      time.Duration
}

// defaultLimit bounds a start. It is long because the first start with nodes fills the engine with what nodes run.
const defaultLimit = 3 * time.Minute

func newSettings(options []Option) settings {
	s := settings{limit: defaultLimit}
	APIOnly()(&s)
	for _, o := range options {
		o(&s)
	}
	return s
}

// APIOnly is etcd and the API server, without controllers, scheduler, nodes and addons: an API whose objects nobody but the
// test changes. It is the default.
func APIOnly() Option {
	return func(s *settings) { s.nodes, s.components = 0, []string{"etcd", "apiserver"} }
}

// ControlPlane is the whole control plane without nodes: controllers act, and pods stay Pending.
func ControlPlane() Option {
	return func(s *settings) { s.nodes, s.components = 0, nil }
}

// Nodes is a whole cluster with so many nodes, which needs a container engine.
func Nodes(n int) Option {
	return func(s *settings) { s.nodes, s.components = n, nil }
}

// Components are those of the control plane that run: etcd, apiserver, controller-manager, scheduler. The first two cannot be
// left out.
func Components(names ...string) Option {
	return func(s *settings) { s.components = slices.Clone(names) }
}

// KubernetesVersion is one that bonsai can emulate, such as 1.36.
func KubernetesVersion(version string) Option { return Flags("--kubernetes-version", version) }

// APIServerFlag sets a flag of kube-apiserver, without dashes. Feature gates are set by FeatureGate.
func APIServerFlag(name, value string) Option {
	return Flags("--extra-config", "apiserver."+name+"="+value)
}

// FeatureGate turns a feature gate of Kubernetes on or off, in all components.
func FeatureGate(name string, on bool) Option {
	return Flags("--feature-gates", fmt.Sprintf("%s=%t", name, on))
}

// Flags are more flags of "bonsai start".
func Flags(flags ...string) Option {
	return func(s *settings) { s.flags = append(s.flags, flags...) }
}

// Executable is the file of bonsai to run.
func Executable(path string) Option { return func(s *settings) { s.executable = path } }

// Home is the folder in which bonsai keeps its clusters; otherwise that of the user, where "bonsai status -p NAME" finds them.
func Home(dir string) Option { return func(s *settings) { s.home = dir } }

// Limit is how long a start may take; three minutes if it is not given.
func Limit(d time.Duration) Option { return func(s *settings) { s.limit = d } }

// start is the command line of the start of a cluster that ends with the process of that number; 0: with none.
func (s settings) start(name string, owner int) []string {
	args := []string{"start", "-p", name, "-o", "json", "--own-kubeconfig", "--nodes", strconv.Itoa(s.nodes)}
	if s.components != nil {
		for _, c := range s.components {
			args = append(args, "--components", c)
		}
	}
	if owner != 0 {
		args = append(args, "--while-pid", strconv.Itoa(owner))
	}
	return append(args, s.flags...)
}
