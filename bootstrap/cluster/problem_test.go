package cluster

import (
	"strings"
	"testing"
	"time"
)

func TestProblemsAreSortedByWhatHurtsMost(t *testing.T) {
	old, young := time.Unix(1000, 0), time.Unix(2000, 0)
	list := []Problem{
		{Severity: SeverityInfo, Object: "f"}, {Severity: SeverityWarning, Object: "e"}, {Severity: SeverityError, Object: "d", Since: young},
		{Severity: SeverityError, Object: "c", Since: old, Kind: "z"}, {Severity: SeverityError, Object: "c", Since: old, Kind: "y"}, {Severity: SeverityError, Object: "a"},
	}
	SortProblems(list)
	var order []string
	for _, p := range list {
		order = append(order, p.Object+p.Kind)
	}
	if got := strings.Join(order, " "); got != "a cy cz d e f" {
		t.Errorf("got %s", got)
	}
}
