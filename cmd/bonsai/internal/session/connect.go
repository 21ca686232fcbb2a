package session

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/statedir"
)

// conn is a connection to the API server, based on one content of the cluster's kubeconfig.
type conn struct {
	kubeconfig []byte
	config     *rest.Config
	http       *http.Client
	client     kubernetes.Interface
	dynamic    dynamic.Interface
	// raw is for requests whose answers are decoded here.
	raw rest.Interface
}

func (c *conn) close() { utilnet.CloseIdleConnectionsFor(c.http.Transport) }

// api returns the current connection to the API server: a start may have moved the port, or renewed the certificates.
// The kubeconfig is the cluster's own, so that the user's does not matter.
func (s *Session) api() (*conn, error) {
	const op = "read the cluster's kubeconfig"
	state := s.state()
	data, err := os.ReadFile(state.Kubeconfig())
	switch {
	case errors.Is(err, fs.ErrNotExist) && !state.Exists():
		return nil, statedir.NotFound(s.o.Name)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.Newf(fault.NotRunning, "cluster %q was never started", s.o.Name).Advise("", cluster.Bonsai("start").Cure())
	case err != nil:
		return nil, fault.New(fault.State, op, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && bytes.Equal(s.conn.kubeconfig, data) {
		return s.conn, nil
	}
	c, err := dial(data, s.o.Client)
	if err != nil {
		return nil, fault.New(fault.State, op, err).Advise("write it again", cluster.Bonsai("start").Cure())
	}
	if s.conn != nil {
		s.conn.close()
	}
	s.conn = c
	return c, nil
}

// dial makes a connection of a client of that name.
func dial(kubeconfig []byte, client string) (*conn, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	config.UserAgent = cluster.OwnAgentPrefix + client
	// The API server has its own fairness; a limit here only delays what a user is looking at.
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	// Compression costs more than it saves on the loopback interface.
	config.DisableCompression = true
	c := &conn{kubeconfig: kubeconfig, config: config}
	if c.http, err = rest.HTTPClientFor(config); err != nil {
		return nil, err
	}
	typed := rest.CopyConfig(config)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	typed.AcceptContentTypes = typed.ContentType + ",application/json"
	set, err := kubernetes.NewForConfigAndClient(typed, c.http)
	if err != nil {
		return nil, err
	}
	c.client, c.raw = set, set.CoreV1().RESTClient()
	c.dynamic, err = dynamic.NewForConfigAndClient(config, c.http)
	return c, err
}

// path is where objects of a type are; an empty namespace is all.
func path(t kube.ResourceType, namespace string) string {
	parts := []string{"/apis", t.Group, t.Version}
	if t.Group == "" {
		parts = []string{"/api", t.Version}
	}
	if t.Namespaced && namespace != "" {
		parts = append(parts, "namespaces", namespace)
	}
	return strings.Join(append(parts, t.Resource), "/")
}

func gvr(t kube.ResourceType) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: t.Group, Version: t.Version, Resource: t.Resource}
}

func gvk(t kube.ResourceType) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: t.Group, Version: t.Version, Kind: t.Kind}
}

// resource is the dynamic client for the objects around ref.
func (c *conn) resource(ref kube.Ref) dynamic.ResourceInterface {
	r := c.dynamic.Resource(gvr(ref.Type))
	if ref.Type.Namespaced {
		return r.Namespace(ref.Namespace)
	}
	return r
}

// apiFault explains in a user's terms why the API server rejected a request.
func (s *Session) apiFault(op string, err error) error {
	f := fault.New(fault.Internal, op, err)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsGone(err):
		f.Kind = fault.ObjectNotFound
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		f.Kind = fault.Conflict
		f.Advise("it has changed in the meantime; check it and repeat the action")
	case apierrors.IsUnauthorized(err):
		f.Kind = fault.ControlPlane
		f.Advise("renew the certificates", cluster.Bonsai("start").Cure())
	case apierrors.IsServerTimeout(err), apierrors.IsTimeout(err), apierrors.IsTooManyRequests(err), apierrors.IsServiceUnavailable(err),
		apierrors.IsInternalError(err):
		f.Kind = fault.ControlPlane
		f.Advise("", cluster.Bonsai("status"))
	case apierrors.ReasonForError(err) != metav1.StatusReasonUnknown:
		f.Kind = fault.Refused
		var status apierrors.APIStatus
		if errors.As(err, &status) && status.Status().Details != nil {
			for _, c := range status.Status().Details.Causes {
				f.Evidence = append(f.Evidence, strings.TrimPrefix(c.Field+": "+c.Message, ": "))
			}
		}
	case disconnected(err) && !s.state().DaemonAlive():
		f.Kind = fault.NotRunning
		f.Advise("", cluster.Bonsai("start").Cure())
	case disconnected(err):
		f.Kind = fault.ControlPlane
		f.Advise("", cluster.Bonsai("status"))
	}
	return f
}

// disconnected reports whether there was no answer at all.
func disconnected(err error) bool {
	return utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsTimeout(err) ||
		utilnet.IsHTTP2ConnectionLost(err) || errors.Is(err, syscall.EPIPE) || strings.Contains(err.Error(), "tls: ") ||
		strings.Contains(err.Error(), "x509: ") || strings.Contains(err.Error(), "GOAWAY")
}
