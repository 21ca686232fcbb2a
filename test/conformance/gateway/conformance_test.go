package gateway

import (
	"context"
	"flag"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/apis/v1alpha2"
	"sigs.k8s.io/gateway-api/apis/v1alpha3"
	"sigs.k8s.io/gateway-api/apis/v1beta1"
	"sigs.k8s.io/gateway-api/conformance"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/config"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
	"sigs.k8s.io/yaml"
)

var (
	kubeconfig = flag.String("cluster", "", "the cluster's kubeconfig; without it no conformance test runs")
	report     = flag.String("report", "", "the folder that the results are written to")
	release    = flag.String("release", "", "the version of bonsai that the report names")
	focus      = flag.String("focus", "", "a regular expression: only tests whose short names match")
)

// class is the addon's GatewayClass.
const class = "bonsai"

// TestConformance runs the tests of the profiles, one after the other: what several tests do to one Gateway at a time is not what
// they are about.
func TestConformance(t *testing.T) {
	if *kubeconfig == "" {
		t.Skip("it needs a cluster: make conformance-gateway")
	}
	log.SetLogger(logr.Discard()) // controller-runtime's, which complains otherwise
	options := connect(t)
	count := newTally(claimed(t, options.Client))
	matches, err := regexp.Compile(*focus)
	if err != nil {
		t.Fatal(err)
	}
	var selected []suite.ConformanceTest
	for _, test := range tests.ConformanceTests {
		if counts(test) && matches.MatchString(test.ShortName) {
			selected = append(selected, test)
		}
	}
	if len(selected) == 0 {
		t.Fatalf("no test matches %q", *focus)
	}
	began := time.Now()
	options.Hook = func(t *testing.T, test suite.ConformanceTest, _ *suite.ConformanceTestSuite) { // at the end of each
		o := passed
		switch {
		case t.Failed():
			o = failed
		case t.Skipped():
			o = skipped
		}
		count.add(os.Stderr, test, o, time.Since(began).Round(10*time.Millisecond))
		began = time.Now()
	}
	s, err := suite.NewConformanceTestSuite(options)
	if err != nil {
		t.Fatal(err)
	}
	// What is printed is a result even if a part of the suite ends the test.
	defer func() { write(t, "result.txt", []byte(strings.Join(count.lines, "\n")+"\n"+count.result()+"\n")) }()
	s.Setup(t, selected)
	began = time.Now()
	// The suite has a report when the test that it is given has ended.
	t.Run("suite", func(t *testing.T) {
		if err := s.Run(t, selected); err != nil {
			t.Fatal(err)
		}
	})
	made, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	write(t, "report.yaml", text)
}

// connect has the clients that the suite needs, and what it is to know about bonsai.
func connect(t *testing.T) suite.ConformanceOptions {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS, cfg.Burst = -1, -1
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	scheme := c.Scheme()
	for _, add := range []func() error{
		func() error { return gatewayv1.Install(scheme) }, func() error { return v1beta1.Install(scheme) },
		func() error { return v1alpha3.Install(scheme) }, func() error { return v1alpha2.Install(scheme) },
		func() error { return apiextensionsv1.AddToScheme(scheme) },
	} {
		if err := add(); err != nil {
			t.Fatal(err)
		}
	}
	options := suite.ConformanceOptions{
		Client: c, Clientset: set, RestConfig: cfg, ManifestFS: []fs.FS{&conformance.Manifests},
		ConfigurableOptions: suite.ConfigurableOptions{
			GatewayClassName: class, DisableParallelTests: true, CleanupBaseResources: true, CleanupTestResources: true, TimeoutConfig: config.DefaultTimeoutConfig(),
			Implementation: confv1.Implementation{
				Organization: "bonsai", Project: "bonsai", URL: "docs/gateway.md", Version: *release, Contact: []string{"docs/gateway.md"},
			},
		},
	}
	kind := gatewayv1.IPAddressType
	options.UsableNetworkAddresses = []gatewayv1.GatewaySpecAddress{{Type: &kind, Value: free(t, set)}}
	options.UnusableNetworkAddresses = []gatewayv1.GatewaySpecAddress{{Type: &kind, Value: "192.0.2.1"}} // of no network (RFC 5737)
	for _, p := range profiles {
		options.ConformanceProfiles = append(options.ConformanceProfiles, p.Name)
	}
	return options
}

// free is an address that a Gateway can have: of the same range as that of a Service, and so high that no other one has it yet.
func free(t *testing.T, set kubernetes.Interface) (address string) {
	t.Helper()
	services := set.CoreV1().Services(metav1.NamespaceDefault)
	s, err := services.Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "address-"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 8080}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	has := func(ctx context.Context) (bool, error) {
		now, err := services.Get(ctx, s.Name, metav1.GetOptions{})
		if err == nil && len(now.Status.LoadBalancer.Ingress) > 0 {
			address = now.Status.LoadBalancer.Ingress[0].IP
		}
		return address != "", err
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 30*time.Second, true, has); err != nil {
		t.Fatalf("wait for the address of Service %s: %v", s.Name, err)
	}
	high, err := netip.ParseAddr(address)
	if err != nil || !high.Is4() {
		t.Fatalf("Service %s has the address %q", s.Name, address)
	}
	bytes := high.As4()
	bytes[3] = 250
	if err := services.Delete(t.Context(), s.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	return netip.AddrFrom4(bytes).String()
}

// claimed are the features in the status of the class.
func claimed(t *testing.T, c client.Client) sets.Set[features.FeatureName] {
	t.Helper()
	var have gatewayv1.GatewayClass
	if err := c.Get(t.Context(), client.ObjectKey{Name: class}, &have); err != nil {
		t.Fatal(err)
	}
	claimed := sets.New[features.FeatureName]()
	for _, f := range have.Status.SupportedFeatures {
		claimed.Insert(features.FeatureName(f.Name))
	}
	return claimed
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(*report, name), data, 0o600); err != nil {
		t.Error(err)
	}
}
