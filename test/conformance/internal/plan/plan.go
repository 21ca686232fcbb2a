package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/onsi/ginkgo/v2/types"
)

// Test is one of upstream's tests.
type Test struct {
	Name   string
	Serial bool
}

// Plan is what a run consists of. It is written before the run; a later run with the same plan may go on where an
// earlier one was interrupted.
type Plan struct {
	Suite       string
	Focus, Skip string
	// Of identifies what is tested and by what: results of another build are not results of this one.
	Of    string
	Tests []Test
}

// ReadTests reads the selected tests from the JSON report of ginkgo's dry run: those that it would have run.
func ReadTests(r io.Reader) ([]Test, error) {
	var reports []types.Report
	if err := json.NewDecoder(r).Decode(&reports); err != nil {
		return nil, fmt.Errorf("reading ginkgo's report: %w", err)
	}
	var tests []Test
	seen := map[string]bool{}
	for _, report := range reports {
		for _, spec := range report.SpecReports {
			name := spec.FullText()
			if spec.LeafNodeType != types.NodeTypeIt || !spec.State.Is(types.SpecStatePassed) || seen[name] {
				continue
			}
			seen[name] = true
			tests = append(tests, Test{Name: name, Serial: slices.Contains(spec.Labels(), "Serial")})
		}
	}
	slices.SortFunc(tests, func(a, b Test) int { return strings.Compare(a.Name, b.Name) })
	return tests, nil
}

// Same reports whether results of one plan count for the other.
func (p Plan) Same(q Plan) bool {
	return p.Suite == q.Suite && p.Focus == q.Focus && p.Skip == q.Skip && p.Of == q.Of && slices.Equal(p.Tests, q.Tests)
}

// Serial is the number of tests that run alone.
func (p Plan) Serial() int {
	n := 0
	for _, t := range p.Tests {
		if t.Serial {
			n++
		}
	}
	return n
}

// Left are the names of the tests that have no result yet.
func (p Plan) Left(done func(name string) bool) []string {
	var left []string
	for _, t := range p.Tests {
		if !done(t.Name) {
			left = append(left, t.Name)
		}
	}
	return left
}

// Focus returns the arguments that make ginkgo run exactly these tests. The expressions are matched against a test's
// full text behind the description of the suite.
func Focus(names []string) []string {
	args := make([]string, len(names))
	for i, name := range names {
		args[i] = "--focus=^" + regexp.QuoteMeta(Description+" "+name) + "$"
	}
	return args
}

// Description is how e2e.test describes its suite.
const Description = "Kubernetes e2e suite"

// Load reads a plan. The second result is false if there is none.
func Load(path string) (Plan, bool, error) {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return Plan{}, false, nil
	}
	if err != nil {
		return Plan{}, false, err
	}
	var p Plan
	if err := json.Unmarshal(data, &p); err != nil {
		return Plan{}, false, fmt.Errorf("%s: %w", path, err)
	}
	return p, true, nil
}

// Save writes a plan.
func (p Plan) Save(path string) error {
	data, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o600)
}
