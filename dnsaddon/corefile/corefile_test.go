package corefile

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/dnsaddon/zone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func corefileOf(text string) Sources { return Sources{Corefile: map[string]string{"Corefile": text}} }

// TestKubeadmIsTheDefault takes kubeadm's own text, which is in testdata, not ours. Every cluster has it, so it must not look
// like the user's configuration.
func TestKubeadmIsTheDefault(t *testing.T) {
	none, problems := Parse(Sources{}, testDefaults())
	if len(problems) != 0 {
		t.Errorf("no ConfigMap: got problems %v", problems)
	}
	archive := readArchive(t, "kubeadm")
	kubeadm, problems := Parse(sourcesOf(archive), testDefaults())
	if len(problems) != 0 {
		t.Errorf("kubeadm's Corefile: got problems %v", problems)
	}
	if !none.Equal(kubeadm) {
		t.Errorf("got\n%+v\nwant what kubeadm's Corefile gives\n%+v", none, kubeadm)
	}
	if none.Zone.TTL != 30 || none.Zone.Pods != zone.Insecure || none.Forward[0].MaxConcurrent != 1000 {
		t.Errorf("got %+v", none)
	}
}

// TestTheDefaultTextDecidesNothing: where there is only the text that every cluster begins with, kube-dns is heard.
func TestTheDefaultTextDecidesNothing(t *testing.T) {
	text := readArchive(t, "kubeadm")
	src := sourcesOf(text)
	src.KubeDNS = map[string]string{"upstreamNameservers": `["10.0.0.1"]`}
	c, problems := Parse(src, testDefaults())
	if len(problems) != 0 || !slices.Equal(c.Forward[0].Upstreams, []string{"10.0.0.1:53"}) {
		t.Errorf("upstreams %v, problems %v", c.Forward[0].Upstreams, problems)
	}
	// One more directive makes it the user's.
	src.Corefile["Corefile"] = strings.Replace(src.Corefile["Corefile"], "    ready\n", "    ready\n    hosts {\n      192.0.2.7 fake.test\n      fallthrough\n    }\n", 1)
	c, problems = Parse(src, testDefaults())
	if len(problems) != 1 || slices.Contains(c.Forward[0].Upstreams, "10.0.0.1:53") || c.Blocks[0].Hosts == nil || len(c.Sources) != 2 {
		t.Errorf("upstreams %v, blocks %+v, sources %v, problems %v", c.Forward[0].Upstreams, c.Blocks, c.Sources, problems)
	}
}

func TestParseTwiceIsEqual(t *testing.T) {
	for _, name := range []string{"stubdomains", "rewrite", "template", "problems", "k3s"} {
		src := sourcesOf(readArchive(t, name))
		one, problems := Parse(src, testDefaults())
		two, again := Parse(src, testDefaults())
		if !one.Equal(two) || !slices.EqualFunc(problems, again, func(a, b problem) bool { return a.Summary == b.Summary }) {
			t.Errorf("%s: two readings of the same text differ", name)
		}
	}
}

func TestDefaultsReachTheConfig(t *testing.T) {
	d := Defaults{
		Zone: zone.Options{
			Domain: "Corp.Local.", Reverse: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
			Local: []netip.Addr{netip.MustParseAddr("10.96.0.10")}, NameServer: "kube-system/kube-dns",
		},
		Upstreams: []string{"10.0.0.1:53", "10.0.0.2:53"},
	}
	for _, src := range []Sources{{}, corefileOf(". {\n kubernetes corp.local\n forward . /etc/resolv.conf\n}"), corefileOf(". {\n forward . /run/systemd/resolve/resolv.conf\n}")} {
		c, _ := Parse(src, d)
		if c.Zone.Domain != "corp.local." || c.Zone.NameServer != d.Zone.NameServer || len(c.Zone.Aliases) != 0 ||
			!slices.Equal(c.Zone.Reverse, d.Zone.Reverse) || !slices.Equal(c.Zone.Local, d.Zone.Local) {
			t.Errorf("got zone %+v", c.Zone)
		}
		if !slices.Equal(c.Forward[0].Upstreams, d.Upstreams) {
			t.Errorf("got upstreams %v, want the node's", c.Forward[0].Upstreams)
		}
	}
}

// TestReaderKeepsWhatCouldBeRead breaks each text in turn.
func TestReaderKeepsWhatCouldBeRead(t *testing.T) {
	good := Sources{
		Corefile: map[string]string{"Corefile": ". {\n kubernetes cluster.local {\n ttl 7\n }\n forward . 1.1.1.1\n}"},
		Custom:   map[string]string{"corp.server": "corp.example {\n forward . 10.0.0.1\n}"},
		KubeDNS:  map[string]string{"stubDomains": `{"old.example": ["10.0.0.2"]}`},
	}
	r := Reader{Defaults: testDefaults()}
	want, problems := r.Read(good)
	if len(problems) != 0 || want.Zone.TTL != 7 || len(want.Forward) != 3 {
		t.Fatalf("got %+v, problems %v", want, problems)
	}

	broken := Sources{
		Corefile: map[string]string{"Corefile": ". {\n kubernetes cluster.local {\n ttl 9\n"},
		Custom:   map[string]string{"corp.server": "corp.example {"},
		KubeDNS:  map[string]string{"stubDomains": `{"old.example": ["10.0.0.9"]`},
	}
	// Twice: what stays in force also stays in memory.
	for range 2 {
		got, problems := r.Read(broken)
		if !got.Equal(want) {
			t.Errorf("got\n%+v\nwant what was before\n%+v", got, want)
		}
		if len(problems) != 3 {
			t.Fatalf("got %d problems, want one of each text: %v", len(problems), problems)
		}
		for _, p := range problems {
			if !strings.Contains(p.Summary, "the previous version stays in effect") || p.HintText() == "" {
				t.Errorf("got problem %+v", p)
			}
		}
	}

	// A text that is gone is not broken.
	got, problems := r.Read(Sources{})
	none, _ := Parse(Sources{}, testDefaults())
	if !got.Equal(none) || len(problems) != 0 {
		t.Errorf("after the ConfigMaps went: got %+v, problems %v", got, problems)
	}
	if got, _ := r.Read(broken); got.Zone.TTL != 30 {
		t.Errorf("a broken text brought back one that was deleted: got TTL %d", got.Zone.TTL)
	}
}

func TestEmptyCorefileIsNone(t *testing.T) {
	for _, text := range []string{"", "  \n", "# all of it is a comment\n"} {
		c, problems := Parse(corefileOf(text), testDefaults())
		if len(problems) != 1 || !strings.Contains(problems[0].Summary, "there is no server block in it") {
			t.Errorf("%q: got problems %v", text, problems)
		}
		if len(c.Forward) != 1 || c.Forward[0].Name != "." || len(c.Forward[0].Upstreams) != 1 {
			t.Errorf("%q: got forward %+v, want the built-in one", text, c.Forward)
		}
	}
}

func TestReverseZones(t *testing.T) {
	for cidr, want := range map[string]string{
		"0.0.0.0/0":        "in-addr.arpa.",
		"10.0.0.0/8":       "10.in-addr.arpa.",
		"10.20.30.40/24":   "30.20.10.in-addr.arpa.",
		"10.1.2.3/32":      "3.2.1.10.in-addr.arpa.",
		"172.16.0.0/15":    "16.172.in-addr.arpa. 17.172.in-addr.arpa.",
		"10.0.4.0/22":      "4.0.10.in-addr.arpa. 5.0.10.in-addr.arpa. 6.0.10.in-addr.arpa. 7.0.10.in-addr.arpa.",
		"fd00::/8":         "d.f.ip6.arpa.",
		"2001:db8::/32":    "8.b.d.0.1.0.0.2.ip6.arpa.",
		"fd00:ab00::/23":   "a.a.0.0.d.f.ip6.arpa. b.a.0.0.d.f.ip6.arpa.",
		"fd00::1/128":      "1." + strings.Repeat("0.", 29) + "d.f.ip6.arpa.",
		"255.255.255.0/25": strings.Join(addressNames(), " "),
	} {
		zones, port, err := parseZone(cidr)
		if got := strings.Join(zones, " "); got != want || port != "53" || err != nil {
			t.Errorf("%s: got %s port %s (%v), want %s", cidr, got, port, err, want)
		}
	}
}

func addressNames() []string {
	var names []string
	for i := range 128 {
		names = append(names, reverseName([]byte{255, 255, 255, byte(i)}, 32, 8))
	}
	return names
}

func TestZones(t *testing.T) {
	for s, want := range map[string]string{
		".":                   ". 53",
		".:53":                ". 53",
		"Example.ORG":         "example.org. 53",
		"example.org.:1053":   "example.org. 1053",
		"dns://example.org:5": "example.org. 5",
		"10.0.0.0/8:5353":     "10.in-addr.arpa. 5353",
	} {
		zones, port, err := parseZone(s)
		if got := strings.Join(zones, " ") + " " + port; got != want || err != nil {
			t.Errorf("%s: got %s (%v), want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", ":53", "tls://example.org", "a..b", "example.org:dns", "example.org:70000", strings.Repeat("a", 64) + ".b", "a b", `a\.b`, `\.`, "ünicode.example"} {
		if zones, _, err := parseZone(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, zones)
		}
	}
}

// TestImportsAreBounded has texts that grow when they are read.
func TestImportsAreBounded(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("(s0) {\n log\n log\n}\n")
	for _, i := range "123456789abcdefghijklmnop" {
		before := string(i - 1)
		switch i {
		case '1':
			before = "0"
		case 'a':
			before = "9"
		}
		bomb.WriteString("(s" + string(i) + ") {\n" + strings.Repeat(" import s"+before+"\n", 10) + "}\n")
	}
	bomb.WriteString(".:53 {\n import sp\n import sd\n forward . 1.1.1.1\n}\n")
	for name, text := range map[string]string{
		"exponential": bomb.String(),
		"itself":      "(a) {\n import a\n import a\n}\n. {\n import a\n forward . 1.1.1.1\n}",
		"each other":  "(a) {\n import b\n import b\n}\n(b) {\n import a\n import a\n}\n. {\n import a\n forward . 1.1.1.1\n}",
		"nested":      ". {\n" + strings.Repeat("a {\n", 100_000) + strings.Repeat("}\n", 100_000) + "}",
	} {
		start := time.Now()
		c, problems := Parse(corefileOf(text), testDefaults())
		if len(problems) == 0 {
			t.Errorf("%s: got no problem", name)
		}
		if cycle := name == "itself" || name == "each other"; cycle && !strings.Contains(problems[0].Summary, "nested too deeply") {
			t.Errorf("%s: got problem %q", name, problems[0].Summary)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if name != "nested" && len(c.Forward) == 1 && !slices.Equal(c.Forward[0].Upstreams, []string{"1.1.1.1:53"}) {
			t.Errorf("%s: got %+v, want what stands beside the imports in force", name, c.Forward)
		}
	}
}

func TestRegexesAreBounded(t *testing.T) {
	long := strings.Repeat("(ab|cd)", 1000)
	for pattern, ok := range map[string]bool{
		`^(.*)-(us-west-1)\.coredns\.rocks$`:            true,
		`^(?P<a>[0-9]{1,3})-[a-z2-7]{26}[.]example[.]$`: true,
		`(a{50}){50}`:                   false,
		`((a{30}){30}|(b{30}){30}){1}x`: true,
		`(\pL{20}){40}`:                 false,
		long:                            false,
		strings.Repeat("a", 10_001):     false,
	} {
		b := builder{}
		if err := b.regex(pattern); (err == nil) != ok {
			t.Errorf("%.40s: got %v, want accepted %v", pattern, err, ok)
		}
	}
	b := builder{}
	accepted := 0
	for range 100 {
		if b.regex(`(a{25}){40}`) == nil {
			accepted++
		}
	}
	if accepted == 0 || accepted > 30 {
		t.Errorf("got %d costly regexes accepted beside each other", accepted)
	}
}

// TestTemplatesAreBounded runs what is accepted with what a client could send.
func TestTemplatesAreBounded(t *testing.T) {
	for text, ok := range map[string]bool{
		`{{ .Name }} 60 IN A 1.2.3.4`:                              true,
		`{{ $x := index .Match 0 }}{{ $x }}`:                       true,
		`{{ if and (eq .Type "A") (gt (len .Name) 3) }}x{{ end }}`: true,
		`{{ slice .Name 1 }}`:                                      true,
		`{{ .Question.Name }}`:                                     true,
		`{{ range .Match }}x{{ end }}`:                             false,
		`{{ with .Match }}x{{ end }}`:                              false,
		`{{ block "x" . }}{{ end }}`:                               false,
		`{{ html .Name }}`:                                         false,
		`{{ (index .Match 0).Foo }}`:                               false,
		`{{ $.Message }}`:                                          false,
		`{{ $x := .Question }}{{ $x.Name }}`:                       false,
		`{{ .Meta "x" }}`:                                          false,
		strings.Repeat(`{{ .Name }}`, 300):                         false,
		strings.Repeat(`{{ if true }}`, 20) + strings.Repeat(`{{ end }}`, 20): true,
		strings.Repeat("x", 5000): false,
	} {
		if _, err := CompileTemplate(text); (err == nil) != ok {
			t.Errorf("%.60s: got %v, want accepted %v", text, err, ok)
		}
	}
	data := struct{ Name string }{"%999999d%999999d%999999d"}
	for text, ok := range map[string]bool{
		`{{ printf .Name 1 2 3 }}`:                 false,
		`{{ printf "%*d" 1000000 1 }}`:             false,
		`{{ printf "%03d.%-10s" 7 .Name }}`:        true,
		`{{ printf "%100d" 7 }}`:                   false,
		`{{ printf "%.100f" 7.0 }}`:                false,
		`{{ printf "%99d" 7 }}{{ print .Name 1 }}`: true,
	} {
		tmpl, err := CompileTemplate(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var out strings.Builder
		if err := tmpl.Execute(&out, data); (err == nil) != ok || out.Len() > 1000 {
			t.Errorf("%s: got %v and %d bytes, want success %v", text, err, out.Len(), ok)
		}
	}
}

// FuzzParse looks for texts that Parse does not survive, or that make it say what others rely on not to be.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"kubeadm", "stubdomains", "rewrite", "template", "problems", "problems-plugins", "k3s", "custom", "cachezones", "partial"} {
		src := sourcesOf(readArchive(f, name))
		f.Add(src.Corefile["Corefile"], src.Custom["corp.server"], src.Custom["log.override"], src.KubeDNS["stubDomains"])
	}
	f.Add("(a) {\n import a\n}\n. {\n import a\n}", ". {", "}", `{"a":["1.1.1.1"]}`)
	f.Add("\ufeff. \"a\nb\" {\n}", "a,\nb {\n}", "import *", `{"a":null}`)
	f.Fuzz(func(t *testing.T, text, server, override, stubs string) {
		src := Sources{
			Corefile: map[string]string{"Corefile": text},
			Custom:   map[string]string{"x.server": server, "x.override": override},
			KubeDNS:  map[string]string{"stubDomains": stubs},
		}
		c, problems := Parse(src, testDefaults())
		checkConfig(t, c)
		for _, p := range problems {
			if strings.ContainsAny(p.Summary+p.HintText(), "\n\r\x1b") || len(p.Summary) > 2000 || p.Object == "" || p.Kind != ProblemKind {
				t.Errorf("problem %+v", p)
			}
		}
		if again, _ := Parse(src, testDefaults()); !c.Equal(again) {
			t.Error("two readings differ")
		}
	})
}

// checkConfig is what forward, zone and rules take for granted.
func checkConfig(t *testing.T, c Config) {
	t.Helper()
	seen := map[string]bool{}
	for _, b := range c.Blocks {
		if len(b.Zones) == 0 {
			t.Error("a block without zones")
		}
		for _, zone := range b.Zones {
			if name, err := parseName(zone); err != nil || name != zone || seen[zone] {
				t.Errorf("block zone %q: %v, twice %v", zone, err, seen[zone])
			}
			seen[zone] = true
		}
		for _, tmpl := range b.Templates {
			for _, text := range slices.Concat(tmpl.Answer, tmpl.Additional, tmpl.Authority) {
				if _, err := CompileTemplate(text); err != nil {
					t.Errorf("template %q: %v", text, err)
				}
			}
		}
	}
	clear(seen)
	for _, z := range c.Forward {
		if name, err := parseName(z.Name); err != nil || name != z.Name || seen[name] {
			t.Errorf("forward zone %q: %v, twice %v", z.Name, err, seen[name])
		}
		seen[z.Name] = true
		for _, u := range z.Upstreams {
			if _, err := netip.ParseAddrPort(u); err != nil {
				t.Errorf("upstream %q: %v", u, err)
			}
		}
	}
	if c.Zone.Domain != "cluster.local." || c.Zone.Fallthrough == nil && c.Zone.TTL != 30 {
		t.Errorf("zone %+v", c.Zone)
	}
}
