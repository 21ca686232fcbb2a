package rules

import (
	"fmt"
	"net/netip"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

func spec(t testing.TB, text string) (s networkingv1.NetworkPolicySpec) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestJudgeSaysWhichPolicyDecides(t *testing.T) {
	s := state(web, db, far, other).
		with(t, "shop", "db-only-web", spec(t, `{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: web}]}]}`)).
		with(t, "shop", "db-lab", spec(t, `{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}], ports: [{protocol: UDP}]}]}`)).
		with(t, "shop", "web-out", spec(t, `{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.244.2.0/24]}}], ports: [{port: 80}, {port: 8000, endPort: 8002}]}]}`))
	r := Compile(s)
	for what, test := range map[string]struct {
		from, to string
		protocol Protocol
		want     string
	}{
		"allowed by both":                {"10.244.1.2", "10.244.1.3:80", "tcp", "egress true shop/web-out; ingress true shop/db-only-web; "},
		"a port that only one allows":    {"10.244.1.2", "10.244.1.3:8001", "tcp", "egress true shop/web-out; ingress false; "},
		"a port that none allows":        {"10.244.1.2", "10.244.1.3:8003", "tcp", "egress false; ingress false; "},
		"another protocol":               {"10.244.1.2", "10.244.1.3:80", "udp", "egress false; ingress false; "},
		"from elsewhere":                 {"10.244.2.3", "10.244.1.3:99", "udp", "ingress true shop/db-lab; "},
		"from elsewhere with TCP":        {"10.244.2.3", "10.244.1.3:80", "tcp", "ingress false; "},
		"an exception":                   {"10.244.1.2", "10.244.2.2:80", "tcp", "egress false; "},
		"itself":                         {"10.244.1.2", "10.244.1.2:99", "tcp", "egress true; "},
		"pods without policies":          {"10.244.2.2", "10.244.2.3:80", "tcp", ""},
		"DNS, to which nothing leads":    {"10.244.1.2", "10.96.0.10:53", "udp", "egress false; "},
		"outside, where nothing applies": {"10.244.1.3", "192.0.2.1:80", "tcp", ""},
	} {
		to := netip.MustParseAddrPort(test.to)
		list, err := r.Judge(Packet{Source: netip.MustParseAddr(test.from), Dest: to.Addr(), Port: to.Port(), Protocol: test.protocol})
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		got := ""
		for _, j := range list {
			name, by := "ingress", ""
			if j.Egress {
				name = "egress"
			}
			if j.By != (Source{}) {
				by = " " + j.By.Policy.String()
			}
			got += fmt.Sprintf("%s %v%s; ", name, j.Allowed, by)
			if len(j.Policies) == 0 {
				t.Errorf("%s: no policy applies: %+v", what, j)
			}
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", what, got, test.want)
		}
	}
	if list, err := (*Ruleset)(nil).Judge(Packet{}); list != nil || err != nil {
		t.Errorf("without rules: %v, %v", list, err)
	}
}

// TestJudgeRefusesWhatItDoesNotKnow: an expression that only Compile knows would be judged wrongly in silence.
func TestJudgeRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, rule := range []string{"ip saddr", "ip ttl 3", "tcp dport { 80", "tcp sport 80", "ip daddr . tcp dport { 1.2.3.4 . 80 }", "ip daddr 300.0.0.0/8", "udp dport { eighty }", "tcp dport @"} {
		if _, err := (&Ruleset{}).fits(rule, Packet{Source: web.IP, Dest: db.IP, Protocol: "tcp", Port: 80}); err == nil {
			t.Errorf("%q is understood", rule)
		}
	}
}

func TestWhatPoliciesAllowInWords(t *testing.T) {
	for text, want := range map[string][2]string{
		`{podSelector: {}, policyTypes: [Ingress, Egress]}`: {"no ingress", "no egress"},
		`{podSelector: {}, ingress: [{}]}`:                  {"ingress from everything", "no egress"},
		`{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 5432}]}]}`:                                    {"ingress from pods app=api at port 5432/TCP", "no egress"},
		`{podSelector: {}, egress: [{to: [{namespaceSelector: {}}], ports: [{port: dns, protocol: UDP}, {port: 1, endPort: 9}, {protocol: SCTP}]}]}`: {"no ingress", "egress to all pods of all namespaces at port dns/UDP, 1-9/TCP, any/SCTP"},
		`{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {namespaceSelector: {matchLabels: {a: b}}, podSelector: {matchLabels: {c: d}}}]}, {}, {}, {}]}`: {
			"no ingress", "egress to 10.0.0.0/8 except 10.1.0.0/16 and pods c=d of namespaces a=b, or to everything, or to everything, or 1 more",
		},
	} {
		p, err := PolicyOf(&networkingv1.NetworkPolicy{Spec: spec(t, text)})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Allows(false); got != want[0] {
			t.Errorf("%s: got %q", text, got)
		}
		if got := p.Allows(true); got != want[1] {
			t.Errorf("%s: got %q", text, got)
		}
	}
}

// FuzzJudge: whatever a rule says, it is judged or refused.
func FuzzJudge(f *testing.F) {
	f.Add("ip saddr 10.0.0.0/8 ip saddr != { 10.1.0.0/16 } tcp dport { 80, 81-90 }")
	f.Add("ip daddr . udp dport @port meta l4proto sctp")
	f.Add("} { @ != .")
	f.Fuzz(func(_ *testing.T, rule string) {
		_, _ = (&Ruleset{}).fits(rule, Packet{Source: web.IP, Dest: db.IP, Protocol: "tcp", Port: 80})
	})
}
