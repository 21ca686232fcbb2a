package gateway

import (
	"io"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

func TestTally(t *testing.T) {
	var out strings.Builder
	count := newTally(sets.New(features.SupportGateway, features.SupportHTTPRoute))
	count.add(&out, suite.ConformanceTest{ShortName: "A", Features: []features.FeatureName{features.SupportGateway}}, passed, 1500*time.Millisecond)
	count.add(&out, suite.ConformanceTest{ShortName: "B", Features: []features.FeatureName{features.SupportHTTPRouteRetry}}, skipped, nil)
	count.add(io.Discard, suite.ConformanceTest{ShortName: "C"}, failed, time.Second)
	if got, want := out.String(), "passed   A (1.5s)\nskipped  B: not claimed: HTTPRouteRetry\n"; got != want {
		t.Errorf("it prints\n%s, want\n%s", got, want)
	}
	if got, want := count.result(), "conformance-gateway: 1 passed, 1 failed, 1 skipped of 3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What belongs to the profiles: all tests of HTTP and gRPC, none of a mesh.
func TestCounts(t *testing.T) {
	n := 0
	for _, test := range tests.ConformanceTests {
		if !counts(test) {
			continue
		}
		n++
		if strings.HasPrefix(test.ShortName, "Mesh") || strings.HasPrefix(test.ShortName, "UDPRoute") {
			t.Errorf("%s is counted", test.ShortName)
		}
	}
	if n < 60 {
		t.Errorf("only %d tests are counted", n)
	}
}
