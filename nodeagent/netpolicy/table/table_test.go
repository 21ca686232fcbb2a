package table

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"bonsai/nodeagent/netpolicy/rules"
)

// world is a node with pods of the namespace shop, whose names are their labels "app".
func world(pods map[string]string) *rules.State {
	s := &rules.State{
		Node: "c-1", NodeIP: netip.MustParseAddr("10.244.1.1"),
		DNS:        rules.DNS{Service: netip.MustParseAddr("10.96.0.10"), Resolver: netip.MustParseAddr("169.254.102.71"), Port: 10271},
		Namespaces: map[string]labels.Set{"shop": {"team": "a"}, "kube-system": {"kubernetes.io/metadata.name": "kube-system"}},
		Pods:       map[rules.Key]rules.Pod{}, Policies: map[rules.Key]rules.Policy{},
	}
	for name, ip := range pods {
		put(s, name, ip)
	}
	return s
}

func put(s *rules.State, name, ip string) {
	app, _, _ := strings.Cut(name, "-")
	k := rules.Key{Namespace: "shop", Name: name}
	s.Pods[k] = rules.Pod{
		Key: k, Labels: labels.Set{"app": app}, IP: netip.MustParseAddr(ip), Node: "c-1",
		Ports: []rules.NamedPort{{Name: "http", Protocol: "tcp", Number: 80}, {Name: "names", Protocol: "udp", Number: 53}},
	}
}

// policies makes these the only ones of the namespace shop; each is a spec in YAML.
func policies(t *testing.T, s *rules.State, specs ...string) {
	t.Helper()
	clear(s.Policies)
	for i, text := range specs {
		var spec networkingv1.NetworkPolicySpec
		must(t, yaml.UnmarshalStrict([]byte(text), &spec))
		p, err := rules.PolicyOf(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("policy-", i)}, Spec: spec})
		must(t, err)
		s.Policies[p.Key] = p
	}
}

const (
	denyAll = `{podSelector: {}, policyTypes: [Ingress, Egress]}`
	// everything is all that rules can consist of.
	everything = `
podSelector: {matchLabels: {app: web}}
ingress:
- from:
  - podSelector: {}
  - namespaceSelector: {matchLabels: {team: a}}
  - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.1.2.0/24, 10.2.0.0/16]}
  ports: [{port: http}, {port: names, protocol: UDP}, {port: 1, endPort: 9, protocol: SCTP}, {port: 8000}, {protocol: UDP}]
egress:
- to: [{ipBlock: {cidr: 0.0.0.0/0}}]
- to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
`
)

// listed are the lines of the table, in an order that does not depend on how it came to be.
func listed(t *testing.T) []string {
	t.Helper()
	text := nft(t, "-s", "list", "ruleset")
	lines := strings.Split(strings.ReplaceAll(text, ",\n", ", "), "\n")
	for i, line := range lines {
		fields := strings.Fields(line)
		if len(fields) > 0 && fields[0] == "elements" {
			elements := strings.Split(strings.Trim(strings.Join(fields[2:], " "), "{} "), ", ")
			slices.Sort(elements)
			fields = append(fields[:2], elements...)
		}
		lines[i] = strings.Join(fields, " ")
	}
	slices.Sort(lines)
	return lines
}

// TestChangesAmountToTheWholeTable changes the table step by step, and compares it with one that is made at once.
func TestChangesAmountToTheWholeTable(t *testing.T) {
	table := kernel(t)
	s := world(map[string]string{"web": "10.244.1.2", "db": "10.244.1.3"})
	for _, step := range []struct {
		what   string
		change func()
		direct bool // without nft
	}{
		{"policies", func() { policies(t, s, denyAll, everything) }, false},
		{"a policy less", func() { policies(t, s, denyAll) }, false},
		{"and back", func() { policies(t, s, denyAll, everything) }, false},
		{"a pod comes", func() { put(s, "web-1", "10.244.1.9") }, true},
		{"one goes, one comes", func() { delete(s.Pods, rules.Key{Namespace: "shop", Name: "web"}); put(s, "db-1", "10.244.1.7") }, true},
		{"addresses are exchanged", func() { put(s, "web-1", "10.244.1.7"); put(s, "db-1", "10.244.1.9") }, true},
		{"the DNS server has another address", func() { s.DNS.Service = netip.MustParseAddr("10.96.0.53") }, false},
		{"all but one go", func() { clear(s.Pods); put(s, "web", "10.244.1.2") }, false}, // the profile of db is gone
		{"others come", func() { put(s, "web-1", "10.244.1.3"); put(s, "web-2", "10.244.1.4") }, true},
		{"all go", func() { clear(s.Pods) }, false},
		{"some come", func() { put(s, "db", "10.244.1.2"); put(s, "web", "10.244.1.3") }, false},
	} {
		step.change()
		next := rules.Compile(s)
		if table.applied != nil && next != nil {
			if _, direct := next.Elements(table.applied); direct != step.direct {
				t.Errorf("%s: without nft is %v", step.what, direct)
			}
		}
		if changed, err := table.Apply(t.Context(), next); err != nil || !changed {
			t.Fatalf("%s: changed is %v, %v", step.what, changed, err)
		}
		if err := table.Check(); err != nil {
			t.Errorf("%s: the table is not what was applied: %v", step.what, err)
		}
		if changed, err := table.Apply(t.Context(), rules.Compile(s)); err != nil || changed {
			t.Errorf("%s, again: changed is %v, %v", step.what, changed, err)
		}
		got := listed(t)
		if _, err := (&Table{number: table.number - 1}).Apply(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		if want := listed(t); !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", step.what, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestManyAtOnce has more elements than fit into one message, and more sets than answers into a socket's usual buffer.
func TestManyAtOnce(t *testing.T) {
	for _, test := range []struct{ sets, pods int }{{600, 3}, {1, 1200}} {
		table := kernel(t)
		s := world(map[string]string{"web": "10.244.1.2"})
		var specs []string
		for i := range test.sets {
			specs = append(specs, fmt.Sprintf("{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchExpressions: [{key: k%d, operator: DoesNotExist}]}}]}]}", i))
		}
		policies(t, s, specs...)
		table.apply(t, s)
		for i := range test.pods {
			put(s, fmt.Sprint("db-", i), fmt.Sprintf("10.244.%d.%d", 100+i/200, i%200))
		}
		next := rules.Compile(s).Stamped(table.number + 1)
		changes, ok := next.Elements(table.applied)
		if !ok || len(changes) != test.sets+8 { // with the marks
			t.Fatalf("%d changes, %v", len(changes), ok)
		}
		must(t, table.put(t.Context(), changes))
		got := listed(t)
		if _, err := (&Table{number: table.number}).Apply(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		if want := listed(t); !slices.Equal(got, want) {
			t.Errorf("%+v: the sets are not what they are when they are made at once", test)
		}
	}
}

func TestWhatOthersRemoveComesBack(t *testing.T) {
	for name, damage := range map[string]string{
		"everything":            "flush ruleset",
		"the table":             "delete table ip " + rules.TableName,
		"the rules":             "flush table ip " + rules.TableName,
		"a rule":                "flush chain ip " + rules.TableName + " prerouting",
		"what pods lead to":     "flush map ip " + rules.TableName + " ingress",
		"all, with a new table": "flush ruleset; add table ip other",
	} {
		t.Run(name, func(t *testing.T) {
			table := kernel(t)
			s := world(map[string]string{"web": "10.244.1.2", "db": "10.244.1.3"})
			policies(t, s, everything)
			table.apply(t, s)
			must(t, table.Check())
			nft(t, "add table ip beside") // changes the generation only
			must(t, table.Check())
			want := listed(t)
			nft(t, damage)
			table.number-- // so that it gets the same marks
			if table.Check() == nil {
				t.Error("nothing is found")
			}
			table.apply(t, s)
			nft(t, "add table ip beside; delete table ip beside; add table ip beside")
			if name == "all, with a new table" {
				nft(t, "delete table ip other")
			}
			if got := listed(t); !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestAChangeThatCannotBeMadeReplacesTheTable: the damage is not noticed yet.
func TestAChangeThatCannotBeMadeReplacesTheTable(t *testing.T) {
	table := kernel(t)
	s := world(map[string]string{"web": "10.244.1.2"})
	policies(t, s, denyAll)
	for name, change := range map[string]func(){
		"elements": func() { put(s, "web-1", "10.244.1.9") },
		"rules":    func() { policies(t, s, denyAll, everything) },
	} {
		table.apply(t, s)
		nft(t, "flush ruleset")
		change()
		table.apply(t, s)
		must(t, table.Check())
		got := listed(t)
		if _, err := (&Table{number: table.number - 1}).Apply(t.Context(), rules.Compile(s)); err != nil {
			t.Fatal(err)
		}
		if want := listed(t); !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestWithoutRulesThereIsNoTable(t *testing.T) {
	table := kernel(t)
	if changed, err := table.Apply(t.Context(), nil); err != nil || changed || table.nft != nil {
		t.Errorf("a node without a table: changed is %v, %v", changed, err)
	}
	s := world(map[string]string{"web": "10.244.1.2"})
	policies(t, s, denyAll)
	table.apply(t, s)
	for what, next := range map[string]*Table{"the same agent": table, "the next agent": New()} {
		New().apply(t, s)
		if changed, err := next.Apply(t.Context(), nil); err != nil || !changed || strings.Contains(nft(t, "list", "tables"), rules.TableName) {
			t.Errorf("%s: changed is %v, %v", what, changed, err)
		}
	}
}

func TestAFailureLeavesTheTable(t *testing.T) {
	table := kernel(t)
	s := world(map[string]string{"web": "10.244.1.2"})
	policies(t, s, denyAll)
	table.apply(t, s)
	want := listed(t)
	bad := rules.Compile(s)
	bad.Chains["bad"] = rules.Chain{Rules: []string{"ip saddr @nothing accept"}}
	for range 2 { // as a change, and as a whole
		_, err := table.Apply(t.Context(), bad)
		if err == nil || len(err.Error()) > 400 || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "nothing") {
			t.Errorf("got %v", err)
		}
		if got := listed(t); !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	table.apply(t, s)
}

func TestAnErrorIsShort(t *testing.T) {
	text := strings.Repeat("/dev/stdin:1:1-2: Error: "+strings.Repeat("x", 200)+"\n", 1000)
	if got := first(errors.New(text)).Error(); len(got) > 310 || strings.Contains(got, "\n") {
		t.Errorf("got %d characters: %s", len(got), got)
	}
}
