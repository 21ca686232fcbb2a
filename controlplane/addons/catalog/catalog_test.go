package catalog

import (
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a set of addons: roof needs walls, which need ground; garden needs ground; shed nothing.
func house(t *testing.T) *Catalog {
	t.Helper()
	c, err := New([]cluster.AddonDescription{
		{Name: "roof", Needs: []string{"walls"}}, {Name: "garden", Needs: []string{"ground"}}, {Name: "shed"},
		{Name: "walls", Needs: []string{"ground"}, Default: true}, {Name: "ground", Default: true}, {Name: "metrics-server"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func names(list []cluster.AddonDescription) (all []string) {
	for _, d := range list {
		all = append(all, d.Name)
	}
	return all
}

func TestEachStandsBehindItsNeeds(t *testing.T) {
	if got, want := names(house(t).Here()), []string{"ground", "garden", "metrics-server", "walls", "roof", "shed"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMistakesInTheListAreFound(t *testing.T) {
	for _, c := range []struct {
		list []cluster.AddonDescription
		want string
	}{
		{[]cluster.AddonDescription{{Name: "a", Needs: []string{"b"}}, {Name: "b", Needs: []string{"c"}}, {Name: "c", Needs: []string{"a"}}}, "a needs b needs c needs a"},
		{[]cluster.AddonDescription{{Name: "a", Needs: []string{"a"}}}, "a needs a"},
		{[]cluster.AddonDescription{{Name: "a", Needs: []string{"b"}}}, `a needs "b", which does not exist`},
		{[]cluster.AddonDescription{{Name: "a"}, {Name: "a"}}, `two addons are named "a"`},
		{[]cluster.AddonDescription{{}}, `named ""`},
	} {
		if _, err := New(c.list); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %q", c.list, err, c.want)
		}
	}
}

func TestWhatIsWanted(t *testing.T) {
	for _, c := range []struct {
		chosen map[string]bool
		want   []string
	}{
		{nil, []string{"ground", "walls"}},
		{map[string]bool{"shed": true}, []string{"ground", "shed", "walls"}},
		{map[string]bool{"walls": false, "shed": false, "of-another-version": true}, []string{"ground"}},
	} {
		var got []string
		for name, wanted := range house(t).Wanted(c.chosen) {
			if wanted {
				got = append(got, name)
			}
		}
		if slices.Sort(got); !slices.Equal(got, c.want) {
			t.Errorf("chosen %v: got %v, want %v", c.chosen, got, c.want)
		}
	}
}

func TestNeedsAndThoseThatNeed(t *testing.T) {
	c := house(t)
	if got, want := c.NeededBy("roof", "shed"), []string{"ground", "walls"}; !slices.Equal(got, want) {
		t.Errorf("needed: got %v, want %v", got, want)
	}
	if got, want := c.NeededBy("roof", "walls"), []string{"ground"}; !slices.Equal(got, want) {
		t.Errorf("needed by two of which one needs the other: got %v, want %v", got, want)
	}
	all := map[string]bool{"roof": true, "garden": true, "walls": true, "ground": true}
	if got, want := c.Needing(all, "ground"), []string{"roof", "walls", "garden"}; !slices.Equal(got, want) {
		t.Errorf("needing: got %v, want %v", got, want)
	}
	if got := c.Needing(map[string]bool{"ground": true, "walls": true}, "ground"); !slices.Equal(got, []string{"walls"}) {
		t.Errorf("needing, not all wanted: got %v", got)
	}
	if got := c.Needing(all, "ground", "walls", "roof", "garden"); len(got) != 0 {
		t.Errorf("needing, all named: got %v", got)
	}
}

// TestAnswers is what users see who type a name.
func TestAnswers(t *testing.T) {
	c := house(t)
	if d, err := c.Find("roof"); err != nil || d.Name != "roof" {
		t.Errorf("got %v, %v", d, err)
	}
	for _, test := range []struct{ name, text, hint string }{
		{"rof", `unknown addon "rof"`, "did you mean roof?"},
		{"Garden", `unknown addon "Garden"`, "did you mean garden?"},
		{"metric-server", `unknown addon "metric-server"`, "did you mean metrics-server?"},
		{"ingres", `unknown addon "ingres"`, "did you mean ingress?"},
		{"x", `unknown addon "x"`, "see them all:  bonsai addons list --all"},
		{"", `unknown addon ""`, "see them all:  bonsai addons list --all"},
		{"../../etc/passwd", `unknown addon "../../etc/passwd"`, "see them all:  bonsai addons list --all"},
		{strings.Repeat("a", 1<<20), "unknown addon", "see them all:  bonsai addons list --all"},
		{"auto-pause", "addon auto-pause is not in this version of bonsai yet: pauses a cluster that is not in use", "meanwhile:  bonsai stop"},
		{"pod-security-policy", "addon pod-security-policy is retired since 2022-08: Kubernetes 1.25 removed that API", "use Pod Security labels:"},
		{"heapster", "addon heapster is replaced by metrics-server since 2018-11: Kubernetes retired Heapster", "bonsai addons enable metrics-server"},
	} {
		_, err := c.Find(test.name)
		if fault.KindOf(err) != fault.AddonNotFound {
			t.Errorf("%.40q: got %v", test.name, err)
			continue
		}
		if p := fault.Problem(err); !strings.HasPrefix(p.Summary, test.text) || !strings.HasPrefix(p.HintText(), test.hint) {
			t.Errorf("%.40q: got %q with hint %q,\nwant %q with hint %q", test.name, p.Summary, p.HintText(), test.text, test.hint)
		}
	}
}

func TestEveryNameThatIsElsewhereHasItsStory(t *testing.T) {
	c := house(t)
	last := ""
	for _, e := range c.Elsewhere() {
		if e.Name <= last {
			t.Errorf("%s stands behind %s, or twice", e.Name, last)
		}
		last = e.Name
		if e.Reason == "" || strings.HasSuffix(e.Reason, ".") {
			t.Errorf("%s: reason %q", e.Name, e.Reason)
		}
		if (e.Fate == Replaced) != (e.By != "") {
			t.Errorf("%s is %s by %q", e.Name, e.Fate, e.By)
		}
		if e.Fate == Retired && len(e.Since) != len("2022-08") {
			t.Errorf("%s is retired since %q", e.Name, e.Since)
		}
		if e.Name == "metrics-server" {
			t.Error("an addon that is available is also listed as elsewhere")
		}
	}
}
