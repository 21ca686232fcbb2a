package clusternetworkpolicy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	policyv1beta1 "sigs.k8s.io/network-policy-api/apis/v1beta1"
	confv1a1 "sigs.k8s.io/network-policy-api/conformance/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/conformance/tests"
	"sigs.k8s.io/network-policy-api/conformance/utils/suite"
	"sigs.k8s.io/yaml"
)

var (
	kubeconfig = flag.String("cluster", "", "the cluster's kubeconfig; without it no conformance test runs")
	report     = flag.String("report", "", "the folder that the results are written to")
	release    = flag.String("release", "", "the version of bonsai that the report names")
	focus      = flag.String("focus", "", "a regular expression: only tests whose short names match")
)

// TestConformance runs the tests of the profile with all features, one after the other: they share their pods.
func TestConformance(t *testing.T) {
	if *kubeconfig == "" {
		t.Skip("it needs a cluster: make conformance-clusternetworkpolicy")
	}
	log.SetLogger(logr.Discard()) // controller-runtime's, which complains otherwise
	selected := matching(t, *focus)
	options := connect(t)
	s, err := suite.NewConformanceProfileTestSuite(suite.ConformanceProfileOptions{
		Options: options, ConformanceProfiles: sets.New(suite.CNPConformanceProfileName),
		Implementation: confv1a1.Implementation{
			Organization: "bonsai", Project: "bonsai", URL: "docs/network-policy.md", Version: *release, Contact: []string{"docs/network-policy.md"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	passed := 0
	defer func() { // what has run is a result even if a part of the suite ends the test
		lines = append(lines, fmt.Sprintf("conformance-clusternetworkpolicy: %d passed, %d failed of %d", passed, len(lines)-passed, len(selected)))
		write(t, "result.txt", []byte(strings.Join(lines, "\n")+"\n"))
	}()
	s.Setup(t)
	for i, test := range selected {
		run, began := test.Test, time.Now()
		selected[i].Test = func(t *testing.T, all *suite.ConformanceTestSuite) {
			began = time.Now()
			t.Cleanup(func() {
				outcome := "FAILED"
				if !t.Failed() {
					outcome = "passed"
					passed++
				}
				lines = append(lines, fmt.Sprintf("%-8s %s (%v)", outcome, test.ShortName, time.Since(began).Round(10*time.Millisecond)))
				fmt.Fprintln(os.Stderr, lines[len(lines)-1])
			})
			run(t, all)
		}
	}
	if err := s.Run(t, selected); err != nil {
		t.Fatal(err)
	}
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

// matching are the tests whose names match.
func matching(t *testing.T, focus string) (selected []suite.ConformanceTest) {
	t.Helper()
	matches, err := regexp.Compile(focus)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests.ConformanceTests {
		if matches.MatchString(test.ShortName) {
			selected = append(selected, test)
		}
	}
	if len(selected) == 0 {
		t.Fatalf("no test matches %q", focus)
	}
	return selected
}

// connect has the clients that the suite needs.
func connect(t *testing.T) suite.Options {
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
	if err := policyv1beta1.Install(c.Scheme()); err != nil {
		t.Fatal(err)
	}
	if err := apiextensionsv1.AddToScheme(c.Scheme()); err != nil {
		t.Fatal(err)
	}
	return suite.Options{Client: c, ClientSet: set, KubeConfig: *cfg, CleanupBaseResources: true, EnableAllSupportedFeatures: true}
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(*report, name), data, 0o600); err != nil {
		t.Error(err)
	}
}

// TestMatching: the suite has the tests of both tiers, of what is standard and what is experimental.
func TestMatching(t *testing.T) {
	for _, name := range []string{"CNPAdminTierEgressNamedPort", "CNPAdminTierEgressNodePeers", "CNPAdminTierEgressInlineCIDRPeers", "Baseline"} {
		matching(t, name)
	}
	if n := len(matching(t, "")); n < 20 {
		t.Errorf("only %d tests", n)
	}
}
