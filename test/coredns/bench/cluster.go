package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	endpointsEach = 5
	perNamespace  = 50
	// Every tenth service is headless.
	headlessEach = 10
	// The number of goroutines that create objects.
	creators = 32
)

// startAPI keeps the API server's data in memory if possible, because disks are not what is measured.
func (b *bench) startAPI(ctx context.Context) (err error) {
	if b.home, err = os.MkdirTemp("/dev/shm", "bonsai-bench-dns"); err != nil {
		b.home = filepath.Join(b.dir, "home")
	}
	b.env = []string{"BONSAI_HOME=" + b.home, "KUBECONFIG=" + b.kubeconfig()}
	if err := b.command(ctx, b.bin, "start", "-p", b.name, "--nodes", "0"); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", b.kubeconfig())
	if err != nil {
		return err
	}
	config.QPS = -1 // a benchmark waits for the API server only
	if b.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	_, err = b.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "coredns"},
		Data:       map[string]string{"Corefile": strings.ReplaceAll(corefile, "/etc/resolv.conf", b.upstream.Addr)},
	}, metav1.CreateOptions{})
	return err
}

func (b *bench) kubeconfig() string { return filepath.Join(b.dir, "kubeconfig") }

func (b *bench) deleteAPI(ctx context.Context) {
	if err := b.command(ctx, b.bin, "delete", "-p", b.name); err != nil {
		b.progress("the API server is left behind: %v", err)
		return
	}
	os.RemoveAll(b.home)
}

func namespaceOf(service int) string { return fmt.Sprintf("team-%d", service/perNamespace) }
func nameOf(service int) string      { return fmt.Sprintf("service-%d", service) }
func serviceName(service int) string {
	return nameOf(service) + "." + namespaceOf(service) + ".svc.cluster.local."
}
func headless(service int) bool { return service%headlessEach == 0 }

// endpoint is an address that no other endpoint has.
func endpoint(service, i int) string {
	n := service*endpointsEach + i
	return fmt.Sprintf("10.%d.%d.%d", 128+n>>16, n>>8&255, n&255)
}

// create creates the services from one number to another, each with an EndpointSlice. They have no selector, so that no
// controller changes what is created here.
func (b *bench) create(ctx context.Context, from, to int) error {
	for service := from; service < to; service += perNamespace {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespaceOf(service)}}
		err := patiently(ctx, func() error {
			_, err := b.client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
			return err
		})
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	numbers := make(chan int)
	var wg sync.WaitGroup
	for range creators {
		wg.Go(func() {
			for n := range numbers {
				if err := b.createService(ctx, n); err != nil {
					cancel(err)
				}
			}
		})
	}
	for n := from; n < to; n++ {
		numbers <- n
	}
	close(numbers)
	wg.Wait()
	return context.Cause(ctx)
}

func (b *bench) createService(ctx context.Context, n int) error {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespaceOf(n), Name: nameOf(n)},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
	if headless(n) {
		svc.Spec.ClusterIP = corev1.ClusterIPNone
	}
	err := patiently(ctx, func() error {
		_, err := b.client.CoreV1().Services(svc.Namespace).Create(ctx, svc, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: svc.Namespace, Name: svc.Name,
			Labels: map[string]string{discoveryv1.LabelServiceName: svc.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080)), Protocol: new(corev1.ProtocolTCP)}},
	}
	for i := range endpointsEach {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{endpoint(n, i)}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
		})
	}
	return patiently(ctx, func() error {
		_, err := b.client.DiscoveryV1().EndpointSlices(svc.Namespace).Create(ctx, slice, metav1.CreateOptions{})
		return err
	})
}

// patiently creates an object on a machine whose disk may be busy for longer than the API server waits.
func patiently(ctx context.Context, create func() error) error {
	for {
		err := create()
		switch {
		case err == nil, apierrors.IsAlreadyExists(err): // by the request that timed out
			return nil
		case ctx.Err() != nil, !apierrors.IsTimeout(err) && !apierrors.IsServerTimeout(err) && !apierrors.IsTooManyRequests(err):
			return err
		}
	}
}
