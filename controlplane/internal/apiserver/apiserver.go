// Package apiserver runs upstream's kube-apiserver inside this process.
//
// It follows upstream's cmd/kube-apiserver/app/testing/testserver.go and not the cobra command, which takes over the
// process's signal handler when it is built. Differences from the stock server: the listener is passed in, so that
// clients can queue on it before the server exists; connections to pods and Services go through our dialer; our own
// hook replaces the two that wait a fixed second; requests that are steps of a pod's birth are recorded, and who makes
// which change; component statuses and the pods of components are those of this process; groups of the API that addons bring are served by this process;
// and who creates a NetworkPolicy is warned while nothing enforces it.
package apiserver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/pflag"
	extensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/admission"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/egressselector"
	"k8s.io/apiserver/pkg/server/flagz"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/controlplane"
	controlplaneapiserver "k8s.io/kubernetes/pkg/controlplane/apiserver"
	generatedopenapi "k8s.io/kubernetes/pkg/generated/openapi"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/internal/componentpods"
	"bonsai/controlplane/internal/componentstatus"
	"bonsai/controlplane/internal/ownwrites"
	"bonsai/controlplane/internal/policywarning"
	"bonsai/controlplane/internal/rbac"
	"bonsai/controlplane/internal/readonly"
	"bonsai/controlplane/internal/usage"
	"bonsai/controlplane/observe/birth"
	"bonsai/controlplane/observe/history"
)

// HookName is our post-start hook; /readyz waits for it as for upstream's.
const HookName = "bonsai/bootstrap"

// Options are what a server needs in addition to its flags.
type Options struct {
	Flags []string
	// Listener serves the API; the server closes it.
	Listener net.Listener
	// Dial reaches kubelets, pods and Services; this process needs no route to any of them.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Hook runs once the server answers and before it is ready.
	Hook func(ctx context.Context, client kubernetes.Interface) error
	// Count wraps everything that the server serves. Loopback is the server name that the server's client of itself
	// uses.
	Count func(next http.Handler, loopback string) http.Handler
	// Use is called for each request of a user, see package usage; it may be nil.
	Use func(ctx context.Context, what string) (done func(), err error)
	// ReadOnly refuses requests that change something, except those of the server itself.
	ReadOnly bool
	// WaitStorage returns once etcd serves. The part of the build that needs no storage runs in the meantime.
	WaitStorage func(ctx context.Context) error
	// UpstreamHooks keeps the two upstream hooks that Hook would replace.
	UpstreamHooks bool
	// Births records how pods come to be.
	Births *birth.Recorder
	// Writers gets who makes each change.
	Writers *history.Writers
	// Components returns the states of the components in this process, for "kubectl get componentstatuses".
	Components func() []cluster.Component
	// PoliciesEnforced says whether NetworkPolicies are; nil: they are not.
	PoliciesEnforced func() bool
	// ComponentLogs are the logs of the components that are shown as pods; nil if none are.
	ComponentLogs componentpods.Logs
	// Groups are served besides those of Kubernetes; nil if there are none.
	Groups *Groups
}

// Server is a built, not yet running API server.
type Server struct {
	aggregator *aggregatorapiserver.APIAggregator
	informers  *cache.InformerName
	// root is the prefix of all keys in etcd.
	root    string
	storage serverstorage.StorageFactory
}

// New builds the server, which takes most of a second of CPU. Each resource's storage connects to etcd while it is
// installed, and would back off for a second if etcd did not listen: hence WaitStorage.
func New(ctx context.Context, o Options) (*Server, error) {
	opts := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	// The last decorator is the outermost.
	opts.Admission.GenericAdmission.Decorators = append(opts.Admission.GenericAdmission.Decorators, admission.DecoratorFunc(ownwrites.Decorate))
	named := opts.Flags()
	opts.Flagz = flagz.NamedFlagSetsReader{FlagSets: named} // served at /flagz
	for _, fs := range named.FlagSets {
		flags.AddFlagSet(fs)
	}
	if err := flags.Parse(o.Flags); err != nil {
		return nil, fmt.Errorf("parse kube-apiserver flags: %w", err)
	}
	// The cobra command's pre-run does these two; from here on feature gates and emulation apply to the whole process.
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, fmt.Errorf("set feature gates and emulated version: %w", err)
	}
	// The metric kubernetes_feature_enabled, by which users see which gates are on; the command's run does it.
	utilfeature.DefaultMutableFeatureGate.AddMetrics()
	rest.SetDefaultWarningHandler(rest.NoWarnings{})

	tcp, ok := o.Listener.Addr().(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("listener has address %v, want TCP", o.Listener.Addr())
	}
	opts.SecureServing.Listener, opts.SecureServing.BindPort = o.Listener, tcp.Port
	opts.SecureServing.BindAddress = tcp.IP

	var err error
	// Named per process by default, and never released; a second server in one process (tests) would fail.
	if opts.InformerName, err = cache.NewInformerName("kube-apiserver"); err != nil {
		return nil, err
	}
	completed, err := opts.Complete(ctx)
	if err != nil {
		return nil, fmt.Errorf("complete kube-apiserver options: %w", err)
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return nil, fmt.Errorf("kube-apiserver options: %w", utilerrors.NewAggregate(errs))
	}
	// Also a job of the cobra command: the gates and versions in force, as metrics. The other components share them.
	utilfeature.DefaultMutableFeatureGate.AddMetrics()
	opts.GenericServerRunOptions.ComponentGlobalsRegistry.AddMetrics()
	config, storage, err := newConfig(completed, o)
	if err != nil {
		return nil, err
	}
	complete, err := config.Complete()
	if err != nil {
		return nil, fmt.Errorf("complete kube-apiserver configuration: %w", err)
	}
	if err := o.WaitStorage(ctx); err != nil {
		return nil, err
	}
	aggregator, err := app.CreateServerChain(complete)
	if err != nil {
		return nil, fmt.Errorf("build kube-apiserver: %w", err)
	}
	if o.Groups != nil {
		o.Groups.list(aggregator.GenericAPIServer.AggregatedDiscoveryGroupManager)
	}
	return &Server{aggregator: aggregator, informers: opts.InformerName, root: opts.Etcd.StorageConfig.Prefix, storage: storage}, nil
}

// newConfig is upstream's app.NewConfig with our dialer, which has to be set before the parts that use it are built,
// and with our hook. It also returns the resolver of the etcd keys of Kubernetes' own objects.
func newConfig(opts options.CompletedOptions, o Options) (*app.Config, serverstorage.StorageFactory, error) {
	generic, informers, storage, err := controlplaneapiserver.BuildGenericConfig(
		opts.CompletedOptions,
		[]*runtime.Scheme{legacyscheme.Scheme, extensionsapiserver.Scheme, aggregatorscheme.Scheme},
		controlplane.DefaultAPIResourceConfigSource(), generatedopenapi.GetOpenAPIDefinitions, opts.InformerName)
	if err != nil {
		return nil, nil, fmt.Errorf("configure kube-apiserver: %w", err)
	}
	// "Cluster" egress is everything in the cluster: kubelets, proxy subresources, webhooks, aggregated APIs.
	generic.EgressSelector = egressselector.NewEgressSelectorWithMap(map[egressselector.EgressType]utilnet.DialFunc{
		egressselector.Cluster: o.Dial,
	})
	if !o.UpstreamHooks {
		generic.DisabledPostStartHooks.Insert(rbac.Replaces...)
	}
	births, writes := births{o.Births}, writes{o.Writers}
	chain := births.chain(writes.chain(generic.BuildHandlerChainFunc))
	generic.BuildHandlerChainFunc = func(api http.Handler, c *genericapiserver.Config) http.Handler {
		api = componentstatus.Wrap(api, o.Components, storage.Configs())
		if o.ComponentLogs != nil {
			api = componentpods.Wrap(api, o.ComponentLogs)
		}
		if o.Groups != nil {
			api = o.Groups.wrap(api)
		}
		if o.Use != nil {
			api = usage.Wrap(api, o.Use)
		}
		return chain(api, c)
	}
	generic.RESTOptionsGetter = births.storage(writes.storage(generic.RESTOptionsGetter))
	if err := generic.AddPostStartHook(HookName, func(hook genericapiserver.PostStartHookContext) error {
		client, err := kubernetes.NewForConfig(hook.LoopbackClientConfig)
		if err != nil {
			return err
		}
		return o.Hook(hook.Context, client)
	}); err != nil {
		return nil, nil, err
	}

	c := &app.Config{Options: opts}
	kube, resolver, plugins, err := app.CreateKubeAPIServerConfig(opts, generic, informers, storage)
	if err != nil {
		return nil, nil, fmt.Errorf("configure core API: %w", err)
	}
	c.KubeAPIs = kube
	cp := kube.ControlPlane
	cp.Generic.AdmissionControl = births.admission(policywarning.Wrap(cp.Generic.AdmissionControl, o.PoliciesEnforced))
	if c.ApiExtensions, err = controlplaneapiserver.CreateAPIExtensionsConfig(*cp.Generic, cp.VersionedInformers, plugins,
		opts.CompletedOptions, opts.MasterCount, resolver, webhook.NewDefaultAuthenticationInfoResolverWrapper(
			cp.ProxyTransport, cp.Generic.EgressSelector, cp.Generic.LoopbackClientConfig, cp.Generic.TracerProvider)); err != nil {
		return nil, nil, fmt.Errorf("configure API extensions: %w", err)
	}
	// This server has admission of its own, and that of ClusterNetworkPolicies is there.
	c.ApiExtensions.GenericConfig.AdmissionControl = policywarning.Wrap(c.ApiExtensions.GenericConfig.AdmissionControl, o.PoliciesEnforced)
	// These two servers have storage options of their own: for definitions, for custom resources, and for APIServices.
	c.ApiExtensions.GenericConfig.RESTOptionsGetter = writes.storage(c.ApiExtensions.GenericConfig.RESTOptionsGetter)
	c.ApiExtensions.ExtraConfig.CRDRESTOptionsGetter = writes.storage(c.ApiExtensions.ExtraConfig.CRDRESTOptionsGetter)
	if c.Aggregator, err = controlplaneapiserver.CreateAggregatorConfig(*cp.Generic, opts.CompletedOptions, cp.VersionedInformers,
		resolver, cp.ProxyTransport, cp.Extra.PeerProxy, plugins); err != nil {
		return nil, nil, fmt.Errorf("configure API aggregation: %w", err)
	}
	c.Aggregator.GenericConfig.RESTOptionsGetter = writes.storage(c.Aggregator.GenericConfig.RESTOptionsGetter)
	// The last server of the chain has all filters; the others are called after them.
	build := c.Aggregator.GenericConfig.BuildHandlerChainFunc
	c.Aggregator.GenericConfig.BuildHandlerChainFunc = func(api http.Handler, c *genericapiserver.Config) http.Handler {
		served := build(api, c)
		if o.ReadOnly {
			served = readonly.Wrap(served, func(r *http.Request) bool {
				return r.TLS != nil && r.TLS.ServerName == genericapiserver.LoopbackClientServerNameOverride
			})
		}
		return o.Count(served, genericapiserver.LoopbackClientServerNameOverride)
	}
	return c, storage, nil
}

// ObjectsKey is the prefix of the etcd keys of a resource's objects.
func (s *Server) ObjectsKey(r schema.GroupResource) string {
	prefix := r.Group + "/" + r.Resource // of the other servers of the chain, and of custom resources
	if legacyscheme.Scheme.IsGroupRegistered(r.Group) {
		prefix = s.storage.ResourcePrefix(r)
	}
	return s.root + "/" + prefix + "/"
}

// LoopbackConfig is a client configuration with all rights that never leaves the process.
func (s *Server) LoopbackConfig() *rest.Config {
	return s.aggregator.GenericAPIServer.LoopbackClientConfig
}

// Run serves until ctx ends and all requests have been ended; open watches are cut after two seconds.
func (s *Server) Run(ctx context.Context) error {
	defer s.informers.Release()
	prepared, err := s.aggregator.PrepareRun()
	if err != nil {
		return fmt.Errorf("prepare kube-apiserver: %w", err)
	}
	return prepared.Run(ctx)
}

// WaitReady returns when every check of /readyz passes, our hook among them, or with what was still missing.
func (s *Server) WaitReady(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(s.LoopbackConfig())
	if err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		body, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Raw()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for /readyz of the API server: %w: %w %s", context.Cause(ctx), err, body)
		case <-tick.C:
		}
	}
}
