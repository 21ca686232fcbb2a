// Package gateway runs upstream's conformance tests of Gateway API (sigs.k8s.io/gateway-api/conformance) against a cluster of
// bonsai. It is a module of its own, so that the suite does not influence the versions that Kubernetes' tests are built with.
//
// run.sh builds everything and starts the cluster; TestConformance runs the suite in it.
package gateway

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// profiles are those that bonsai claims.
var profiles = []suite.ConformanceProfile{suite.GatewayHTTPConformanceProfile, suite.GatewayGRPCConformanceProfile, suite.GatewayTLSConformanceProfile}

// outcome is what became of a test.
type outcome string

const (
	passed  outcome = "passed"
	failed  outcome = "FAILED"
	skipped outcome = "skipped"
)

// tally collects the outcomes of the tests that belong to the profiles.
type tally struct {
	supported sets.Set[features.FeatureName]
	count     map[outcome]int
	lines     []string
}

// newTally takes the features that the class claims. Those of the core of the profiles are tested in any case.
func newTally(claimed sets.Set[features.FeatureName]) *tally {
	for _, p := range profiles {
		claimed = claimed.Union(p.CoreFeatures)
	}
	return &tally{supported: claimed, count: map[outcome]int{}}
}

// counts reports whether a test belongs to one of the profiles.
func counts(test suite.ConformanceTest) bool {
	for _, p := range profiles {
		all := p.CoreFeatures.Union(p.ExtendedFeatures)
		if !slices.ContainsFunc(test.Features, func(f features.FeatureName) bool { return !all.Has(f) }) {
			return true
		}
	}
	return false
}

// missing are the features that a test needs and the class does not claim.
func (t *tally) missing(test suite.ConformanceTest) (list []string) {
	for _, f := range test.Features {
		if !t.supported.Has(f) {
			list = append(list, string(f))
		}
	}
	return list
}

// add notes what became of a test, and prints a line about it.
func (t *tally) add(to io.Writer, test suite.ConformanceTest, o outcome, took fmt.Stringer) {
	t.count[o]++
	line := fmt.Sprintf("%-8s %s", o, test.ShortName)
	if missing := t.missing(test); len(missing) > 0 {
		line += ": not claimed: " + strings.Join(missing, ", ")
	} else if took != nil {
		line += " (" + took.String() + ")"
	}
	t.lines = append(t.lines, line)
	fmt.Fprintln(to, line)
}

// result is the last line of a run.
func (t *tally) result() string {
	return fmt.Sprintf("conformance-gateway: %d passed, %d failed, %d skipped of %d", t.count[passed], t.count[failed], t.count[skipped], len(t.lines))
}
