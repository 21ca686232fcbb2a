package compare

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// reply parses records into a reply to a question for the first name, in the sections answer, authority and
// additional.
func reply(t *testing.T, sections ...string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("Web.default.", dns.TypeA))
	m.Id = 1
	for i, to := range []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra} {
		if i == len(sections) {
			break
		}
		for line := range strings.Lines(sections[i]) {
			rr, err := dns.NewRR(line)
			if err != nil {
				t.Fatal(err)
			}
			*to = append(*to, rr)
		}
	}
	return m
}

func TestDifferences(t *testing.T) {
	const answer = "Web.default. 30 A 10.0.0.1\nWeb.default. 30 A 10.0.0.2"
	with := func(m *dns.Msg, change func(*dns.Msg)) *dns.Msg {
		change(m)
		return m
	}
	for name, c := range map[string]struct {
		a, b *dns.Msg
		want []string
	}{
		"order":             {reply(t, answer), reply(t, "Web.default. 30 A 10.0.0.2\nWeb.default. 30 A 10.0.0.1"), nil},
		"serial":            {reply(t, "", ". 5 SOA a. b. 1 2 3 4 5"), reply(t, "", ". 5 SOA a. b. 9 2 3 4 5"), nil},
		"other SOA":         {reply(t, "", ". 5 SOA a. b. 1 2 3 4 5"), reply(t, "", ". 5 SOA a. b. 1 2 3 4 6"), []string{"authority"}},
		"TTL":               {reply(t, answer), reply(t, "Web.default. 30 A 10.0.0.1\nWeb.default. 29 A 10.0.0.2"), []string{"answer"}},
		"one less":          {reply(t, answer), reply(t, "Web.default. 30 A 10.0.0.1"), []string{"answer"}},
		"one twice":         {reply(t, answer), reply(t, answer+"\nWeb.default. 30 A 10.0.0.1"), []string{"answer"}},
		"owner respelt":     {reply(t, answer), reply(t, strings.ToLower(answer)), []string{"answer"}},
		"glue respelt":      {reply(t, "", "", "Web.Default. 5 A 10.0.0.1"), reply(t, "", "", "web.default. 5 A 10.0.0.1"), nil},
		"other section":     {reply(t, answer), reply(t, "", "", answer), []string{"additional", "answer"}},
		"rcode":             {reply(t), with(reply(t), func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }), []string{"rcode"}},
		"AA":                {reply(t), with(reply(t), func(m *dns.Msg) { m.Authoritative = true }), []string{"flags"}},
		"RA":                {reply(t), with(reply(t), func(m *dns.Msg) { m.RecursionAvailable = true }), []string{"flags"}},
		"TC":                {reply(t), with(reply(t), func(m *dns.Msg) { m.Truncated = true }), []string{"flags"}},
		"id":                {reply(t), with(reply(t), func(m *dns.Msg) { m.Id = 2 }), []string{"id"}},
		"question respelt":  {reply(t), with(reply(t), func(m *dns.Msg) { m.Question[0].Name = "web.default." }), []string{"question"}},
		"OPT":               {reply(t), with(reply(t), func(m *dns.Msg) { m.SetEdns0(1232, false) }), []string{"edns"}},
		"no OPT":            {with(reply(t), func(m *dns.Msg) { m.SetEdns0(1232, false) }), reply(t), []string{"edns"}},
		"DO":                {with(reply(t), func(m *dns.Msg) { m.SetEdns0(1232, false) }), with(reply(t), func(m *dns.Msg) { m.SetEdns0(1232, true) }), []string{"edns"}},
		"size of buffers":   {with(reply(t), func(m *dns.Msg) { m.SetEdns0(1232, true) }), with(reply(t), func(m *dns.Msg) { m.SetEdns0(4096, true) }), nil},
		"both do not fit":   {with(reply(t), func(m *dns.Msg) { m.Truncated = true }), with(reply(t, answer), func(m *dns.Msg) { m.Truncated = true }), nil},
		"rcode without fit": {with(reply(t), func(m *dns.Msg) { m.Truncated = true }), with(reply(t), func(m *dns.Msg) { m.Truncated, m.Rcode = true, 2 }), []string{"rcode"}},
	} {
		if got := Differences(c.a, c.b); !slices.Equal(got, c.want) {
			t.Errorf("%s: Differences = %q, want %q", name, got, c.want)
		}
	}
}

func TestDisorder(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true,
		"web.default. 5 A 10.0.0.1\nWeb.default. 5 A 10.0.0.2":                     true,
		"Web.default. 5 CNAME a.\na. 5 CNAME b.\nb. 5 A 10.0.0.1\nb. 5 A 10.0.0.2": true,
		"a. 5 A 10.0.0.1":                                         false,
		"a. 5 A 10.0.0.1\nWeb.default. 5 CNAME a.":                false,
		"Web.default. 5 CNAME a.\nb. 5 A 10.0.0.1\na. 5 CNAME b.": false,
	} {
		if got := Disorder(reply(t, text)); (got == "") != ok {
			t.Errorf("Disorder of\n%s\nis %q", text, got)
		}
	}
}
