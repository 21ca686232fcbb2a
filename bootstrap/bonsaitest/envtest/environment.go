package envtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"bonsai/bootstrap/bonsaitest"
)

// Environment is an API server for a suite. The fields that it shares with controller-runtime's mean the same, unless they say
// otherwise here.
type Environment struct {
	// ControlPlane gives flags to the API server, and after Start users: AddUser of it works.
	ControlPlane ControlPlane
	// Scheme says which conversion webhooks are installed; nil: scheme.Scheme.
	Scheme *runtime.Scheme
	// Config and KubeConfig are how to use the API server, after Start.
	Config     *rest.Config
	KubeConfig []byte
	// CRDInstallOptions, CRDs and CRDDirectoryPaths say which CRDs are installed.
	CRDInstallOptions     CRDInstallOptions
	CRDs                  []*apiextensionsv1.CustomResourceDefinition
	CRDDirectoryPaths     []string
	ErrorIfCRDPathMissing bool
	// WebhookInstallOptions says which webhooks are.
	WebhookInstallOptions WebhookInstallOptions
	// UseExistingCluster uses the cluster of Config, or of the user's kubeconfig, in place of a new one; USE_EXISTING_CLUSTER=true
	// does so too.
	UseExistingCluster *bool
	// ControlPlaneStartTimeout and ControlPlaneStopTimeout bound the start and the end; 0: bonsaitest's limits.
	ControlPlaneStartTimeout time.Duration
	ControlPlaneStopTimeout  time.Duration
	// Options are more options of the cluster, such as bonsaitest.Nodes(1).
	Options []bonsaitest.Option

	// These have no effect: there is one executable, and its logs are in files.
	DownloadBinaryAssets         bool
	DownloadBinaryAssetsVersion  string
	DownloadBinaryAssetsIndexURL string
	BinaryAssetsDirectory        string
	AttachControlPlaneOutput     bool

	cluster *bonsaitest.Cluster // nil if it is not this environment's
	inner   envtest.Environment
}

// Cluster is the one that Start has started, nil if it used another.
func (e *Environment) Cluster() *bonsaitest.Cluster { return e.cluster }

// Start starts an API server, installs CRDs and webhooks, and returns how to use it. It may be called again after Stop. If it
// fails, nothing runs.
func (e *Environment) Start() (*rest.Config, error) {
	ctx := context.Background()
	if !e.existing() {
		var err error
		if e.cluster, err = bonsaitest.New(ctx, e.options()...); err != nil {
			return nil, err // with nil
		}
		e.Config = e.cluster.Config()
		if e.KubeConfig, err = os.ReadFile(e.cluster.Kubeconfig()); err == nil {
			err = e.describe()
		}
		if err != nil {
			return nil, errors.Join(err, e.Stop())
		}
	}
	yes := true
	e.inner = envtest.Environment{
		UseExistingCluster: &yes, Config: e.Config, KubeConfig: e.KubeConfig, Scheme: e.Scheme,
		CRDInstallOptions: e.CRDInstallOptions, CRDs: e.CRDs, CRDDirectoryPaths: e.CRDDirectoryPaths, ErrorIfCRDPathMissing: e.ErrorIfCRDPathMissing,
		WebhookInstallOptions: e.WebhookInstallOptions,
	}
	config, err := e.inner.Start()
	e.Config, e.KubeConfig, e.Scheme = e.inner.Config, e.inner.KubeConfig, e.inner.Scheme
	e.CRDInstallOptions, e.CRDs, e.WebhookInstallOptions = e.inner.CRDInstallOptions, e.inner.CRDs, e.inner.WebhookInstallOptions
	if err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return config, nil
}

// Stop ends what Start has started. It may be called when Start has failed, or was not called.
func (e *Environment) Stop() error {
	var err error
	if e.inner.UseExistingCluster != nil {
		e.inner.CRDInstallOptions, e.inner.WebhookInstallOptions = e.CRDInstallOptions, e.WebhookInstallOptions
		if e.cluster != nil { // they go with it
			e.inner.CRDInstallOptions.CleanUpAfterUse = false
		}
		err = e.inner.Stop()
		e.inner = envtest.Environment{}
	}
	if e.cluster == nil {
		return err
	}
	ctx := context.Background()
	if e.ControlPlaneStopTimeout != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.ControlPlaneStopTimeout)
		defer cancel()
	}
	err = errors.Join(err, e.cluster.Delete(ctx))
	e.cluster, e.Config, e.KubeConfig = nil, nil, nil
	return err
}

// AddUser returns how to use the API server as somebody else, with the settings of base, which may be nil.
func (e *Environment) AddUser(user User, base *rest.Config) (*AuthenticatedUser, error) {
	return e.ControlPlane.AddUser(user, base)
}

func (e *Environment) existing() bool {
	if e.UseExistingCluster == nil {
		return strings.EqualFold(os.Getenv("USE_EXISTING_CLUSTER"), "true")
	}
	return *e.UseExistingCluster
}

// options are those of the cluster.
func (e *Environment) options() []bonsaitest.Option {
	options := []bonsaitest.Option{bonsaitest.APIOnly()}
	if e.ControlPlaneStartTimeout != 0 {
		options = append(options, bonsaitest.Limit(e.ControlPlaneStartTimeout))
	}
	return slices.Concat(options, apiServerFlags(e.ControlPlane.GetAPIServer().Configure()), e.Options)
}

// apiServerFlags turns the flags that a suite gives its API server into options. The same flag may have several values.
func apiServerFlags(args *Arguments) (options []bonsaitest.Option) {
	values := map[string][]string{}
	var names []string
	for _, flag := range args.AsStrings(nil) {
		name, value, given := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		if !given {
			value = "true"
		}
		if values[name] == nil {
			names = append(names, name)
		}
		values[name] = append(values[name], value)
	}
	for _, name := range names {
		value := strings.Join(values[name], ",")
		if name != "feature-gates" {
			options = append(options, bonsaitest.APIServerFlag(name, value))
			continue
		}
		options = append(options, bonsaitest.Flags("--feature-gates", value)) // they are for all components
	}
	return options
}

// describe has ControlPlane describe the API server of Config.
func (e *Environment) describe() error {
	at, err := url.Parse(e.Config.Host)
	if err != nil {
		return fmt.Errorf("the address of the API server: %w", err)
	}
	host, port, err := net.SplitHostPort(at.Host)
	if err != nil {
		return fmt.Errorf("the address of the API server: %w", err)
	}
	server := e.ControlPlane.GetAPIServer()
	server.URL = at //nolint:staticcheck // deprecated, and what AuthenticatedUser looks at
	server.SecureServing.ListenAddr = ListenAddr{Address: host, Port: port}
	server.SecureServing.CA, server.SecureServing.Authn = e.Config.CAData, users{e.Config}
	return nil
}

// users makes users by impersonation, to which an administrator has the right.
type users struct{ admin *rest.Config }

var _ Authn = users{}

func (users) Configure(string, *Arguments) error { return nil }
func (users) Start() error                       { return nil }
func (users) Stop() error                        { return nil }

func (u users) AddUser(user User, base *rest.Config) (*rest.Config, error) {
	config := rest.CopyConfig(base)
	config.Host, config.TLSClientConfig = u.admin.Host, u.admin.TLSClientConfig
	config.Impersonate = rest.ImpersonationConfig{UserName: user.Name, Groups: user.Groups}
	return config, nil
}
