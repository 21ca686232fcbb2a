// Package services knows which Services a cluster has, and what is behind them, for those who reach them by name.
//
// The Services are followed from the first question until a minute after the last, so that a question costs no request, and
// nothing runs while nobody asks. Begin reading at View.
package services

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/servicename"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/observe/objects"
)

const (
	// linger is for how long the Services are followed after a question: somebody who clicks through a page asks again.
	linger = time.Minute
	// answerLimit bounds a question.
	answerLimit = 5 * time.Second
)

// Service is one of the cluster.
type Service struct {
	Namespace, Name string
	// IP is its address; not valid for a Service without one (headless), and one that is another name (External).
	IP netip.Addr
	// External is the name that it is another name of.
	External string
	Ports    []servicename.Port
}

// Endpoint is a pod behind a Service, or whatever else an EndpointSlice says.
type Endpoint struct {
	IP netip.Addr
	// Host is its name below that of the Service; Pod is the pod's name. Both may be empty.
	Host, Pod string
	Ready     bool
	// Ports are the numbers of the endpoint's ports by the names of the Service's.
	Ports map[string]int
}

// Options are what a View needs.
type Options struct {
	Objects *objects.Store
	Client  kubernetes.Interface
	// Scale multiplies limits on waits.
	Scale wait.Scale
}

// View answers questions until Close. It is safe for concurrent use.
type View struct {
	o Options

	mu        sync.Mutex // guards the rest
	following *objects.Following[*corev1.Service]
	rest      *time.Timer // ends following
	closed    bool
}

// New returns a View that follows nothing yet.
func New(o Options) *View { return &View{o: o} }

// Close ends what is followed, and waits.
func (v *View) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	v.stop()
}

// stop ends following; v.mu is held.
func (v *View) stop() {
	if v.following == nil {
		return
	}
	v.rest.Stop()
	v.following.Stop()
	v.following = nil
}

// follow is the Services, as soon as all are known.
func (v *View) follow(ctx context.Context) (*objects.Following[*corev1.Service], error) {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return nil, errors.New("the control plane is stopping")
	}
	if v.following == nil {
		v.following = objects.Follow(v.o.Objects, func(*corev1.Service, bool) {})
		v.rest = time.AfterFunc(linger, func() {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.stop()
		})
	} else {
		v.rest.Reset(linger)
	}
	f := v.following
	v.mu.Unlock()
	select {
	case <-f.Synced().Done():
		return f, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Get returns a Service; ok is false if there is none. One that has just been created is found.
func (v *View) Get(ctx context.Context, namespace, name string) (_ Service, ok bool, err error) {
	ctx, cancel := v.o.Scale.Limit(ctx, answerLimit, "the Services of the cluster")
	defer cancel()
	f, err := v.follow(ctx)
	if err != nil {
		return Service{}, false, err
	}
	o, ok := f.Get(namespace, name)
	if !ok {
		o, err = v.o.Client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return Service{}, false, nil
		}
		if err != nil {
			return Service{}, false, err
		}
	}
	return serviceOf(o), true, nil
}

// All returns all Services, in no order.
func (v *View) All(ctx context.Context) ([]Service, error) {
	ctx, cancel := v.o.Scale.Limit(ctx, answerLimit, "the Services of the cluster")
	defer cancel()
	f, err := v.follow(ctx)
	if err != nil {
		return nil, err
	}
	var all []Service
	for _, o := range f.All() {
		all = append(all, serviceOf(o))
	}
	return all, nil
}

func serviceOf(o *corev1.Service) Service {
	s := Service{Namespace: o.Namespace, Name: o.Name}
	s.IP, _ = netip.ParseAddr(o.Spec.ClusterIP) // "None" is none
	if o.Spec.Type == corev1.ServiceTypeExternalName {
		s.External, s.IP = o.Spec.ExternalName, netip.Addr{}
	}
	for _, p := range o.Spec.Ports {
		port := servicename.Port{Name: p.Name, Protocol: string(p.Protocol), Number: int(p.Port)}
		if p.AppProtocol != nil {
			port.AppProtocol = *p.AppProtocol
		}
		s.Ports = append(s.Ports, port)
	}
	return s
}

// Endpoints returns what is behind a Service.
func (v *View) Endpoints(ctx context.Context, namespace, name string) ([]Endpoint, error) {
	ctx, cancel := v.o.Scale.Limit(ctx, answerLimit, "the endpoints of Service "+namespace+"/"+name)
	defer cancel()
	slices, err := v.o.Client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{discoveryv1.LabelServiceName: name}.String(),
	})
	if err != nil {
		return nil, err
	}
	var all []Endpoint
	for _, s := range slices.Items {
		ports := map[string]int{}
		for _, p := range s.Ports {
			if p.Port == nil {
				continue
			}
			key := ""
			if p.Name != nil {
				key = *p.Name
			}
			ports[key] = int(*p.Port)
		}
		for _, e := range s.Endpoints {
			if len(e.Addresses) == 0 {
				continue
			}
			ip, err := netip.ParseAddr(e.Addresses[0])
			if err != nil {
				continue // a slice of names
			}
			one := Endpoint{IP: ip, Ports: ports, Ready: e.Conditions.Ready == nil || *e.Conditions.Ready} // nil is ready, says the API
			if e.Hostname != nil {
				one.Host = *e.Hostname
			}
			if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
				one.Pod = e.TargetRef.Name
			}
			all = append(all, one)
		}
	}
	return all, nil
}
