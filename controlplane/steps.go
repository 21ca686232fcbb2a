package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // what client-go measures goes nowhere otherwise; upstream's programs import it, too
	_ "k8s.io/component-base/metrics/prometheus/version"  // the metric kubernetes_build_info, as in upstream's programs
	registration "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/agents"
	"bonsai/controlplane/internal/apiserver"
	"bonsai/controlplane/internal/etcd"
	"bonsai/controlplane/nodes"
	"bonsai/controlplane/tunnel"
)

func (cp *ControlPlane) startEtcd(ctx context.Context) error {
	return cp.step(Etcd, "etcd", "its first election", func() error {
		ctx, cancel := cp.opts.Scale.Limit(ctx, etcdLimit, "a leader of etcd")
		defer cancel()
		var err error
		if cp.etcd, err = etcd.Start(ctx, cp.opts.Config, etcd.Options{
			LogTo: cp.opts.EtcdLog, Say: cp.opts.Say, Log: cp.opts.Log, GRPC: cp.traffic.EtcdOptions(), Restoring: cp.restoring(),
		}); err == nil {
			cp.set(Etcd, cluster.PhaseRunning, "")
		}
		return err
	})
}

func (cp *ControlPlane) buildAPIServer(ctx context.Context, etcdReady <-chan error) error {
	waited := false
	err := cp.step("apiserver/build", "API server: routes and storage", "etcd", func() error {
		var err error
		cp.server, err = apiserver.New(context.WithoutCancel(ctx), apiserver.Options{
			Flags:         cp.opts.Config.APIServerFlags(),
			Listener:      cp.listener,
			Dial:          cp.dialer.DialContext,
			Hook:          cp.hook,
			Count:         cp.traffic.Handler,
			UpstreamHooks: cp.opts.Config.Spec.UpstreamHooks,
			ReadOnly:      cp.opts.Archive,
			Use:           cp.opts.Use,
			Births:        cp.births,
			Writers:       &cp.writers,
			Components:    cp.Components,
			ComponentLogs: cp.componentLogs(),
			Groups:        &cp.groups,

			PoliciesEnforced: cp.opts.PoliciesEnforced,
			WaitStorage: func(context.Context) error {
				waited = true
				return <-etcdReady
			},
		})
		if err != nil {
			return err
		}
		if err := cp.newClients(cp.server.LoopbackConfig()); err != nil {
			return err
		}
		cp.nodes = nodes.New(cp.client, cp.opts.Config.Spec, cp.opts.Log)
		return nil
	})
	if !waited {
		err = errors.Join(err, <-etcdReady)
	}
	return err
}

func (cp *ControlPlane) newClients(config *rest.Config) (err error) {
	if cp.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	cp.objects.Kubernetes = cp.client
	if cp.objects.Metadata, err = metadata.NewForConfig(config); err != nil {
		return err
	}
	cp.objects.Registration, err = registration.NewForConfig(config)
	return err
}

func (cp *ControlPlane) runAPIServer(ctx context.Context) error {
	return cp.step(APIServer, "API server", "/readyz", func() error {
		apiCtx, cancel := context.WithCancel(context.Background())
		cp.stopAPI = cancel
		ended := make(chan error, 1)
		go func() {
			err := cp.server.Run(apiCtx)
			if apiCtx.Err() == nil {
				cp.fail(APIServer, err)
			}
			ended <- err
			close(cp.apiDone)
		}()
		cp.watching.Go(func() {
			select {
			case err := <-cp.listener.Failed():
				cp.fail(APIServer, err)
			case <-apiCtx.Done():
			}
		})
		cp.watching.Go(func() {
			if err := cp.etcd.Wait(apiCtx); err != nil {
				cp.fail(Etcd, err)
			}
		})
		ctx, cancelWait := cp.opts.Scale.Limit(ctx, readyLimit, "the API server to become ready")
		defer cancelWait()
		ready := make(chan error, 1)
		go func() { ready <- cp.server.WaitReady(ctx) }()
		select {
		case err := <-ended:
			cancelWait()
			_ = <-ready // only says that it was cancelled
			return fmt.Errorf("API server exited: %w", err)
		case err := <-ready:
			if err != nil {
				return err
			}
		}
		cp.set(APIServer, cluster.PhaseRunning, "")
		return nil
	})
}

// step runs f between a started and a done or failed event.
func (cp *ControlPlane) step(name, title, waitsFor string, f func() error) error {
	begin := time.Now()
	cp.opts.Events(cluster.Event{Kind: cluster.StepStarted, Step: name, Title: title, Detail: waitsFor, Time: begin})
	err := f()
	e := cluster.Event{Kind: cluster.StepDone, Step: name, Title: title, Time: time.Now(), Elapsed: time.Since(begin)}
	if err != nil {
		e.Kind, e.Detail = cluster.StepFailed, err.Error()
	}
	cp.opts.Events(e)
	return err
}

func (cp *ControlPlane) writeFiles() error {
	c := cp.opts.Config
	if err := os.MkdirAll(c.RunDir, 0o700); err != nil {
		return fmt.Errorf("make the socket folder: %w", err)
	}
	authentication, err := c.AuthenticationConfiguration()
	if err != nil {
		return err
	}
	files := map[string][]byte{
		c.AuthenticationFile():                 authentication,
		c.SchedulerConfigFile():                c.SchedulerConfiguration(),
		c.KubeconfigFile("scheduler"):          c.Kubeconfig("scheduler"),
		c.KubeconfigFile("controller-manager"): c.Kubeconfig("controller-manager"),
	}
	maps.Copy(files, c.SettingsFiles())
	for path, data := range files {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return fmt.Errorf("write component configuration: %w", err)
		}
	}
	return nil
}

// newDialer makes the ways into the nodes, which show the daemon's certificate to node agents.
func (cp *ControlPlane) newDialer() error {
	dir := cp.opts.Config.PKIDir
	// Read for each connection, of which there are few: it is renewed while this process runs.
	own := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "daemon.crt"), filepath.Join(dir, "daemon.key"))
		if err != nil {
			return nil, fmt.Errorf("load the daemon's certificate: %w", err)
		}
		return &cert, nil
	}
	if _, err := own(nil); err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return fmt.Errorf("load the cluster's CA: %w", err)
	}
	cp.roots = x509.NewCertPool()
	if !cp.roots.AppendCertsFromPEM(ca) {
		return fmt.Errorf("no certificate in %s", filepath.Join(dir, "ca.crt"))
	}
	cp.dialer = tunnel.New(&tls.Config{GetClientCertificate: own, RootCAs: cp.roots, MinVersion: tls.VersionTLS13},
		cp.opts.Config.Spec, cp.opts.Scale)
	cp.agents = agents.New(func(n cluster.Node) http.RoundTripper { return cp.dialer.AgentTransport(n) }, cp.opts.Scale)
	return nil
}
