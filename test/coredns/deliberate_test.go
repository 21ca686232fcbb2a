package coredns

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"bonsai/test/coredns/internal/compare"
	"bonsai/test/coredns/internal/stub"
	"bonsai/test/coredns/internal/world"
)

// deliberate are the intended differences between bonsai's replies and CoreDNS's. Each matches as little as possible,
// and says what the reply must be instead.
var deliberate = []struct {
	reason string
	is     func(both clients, q world.Question, v verdict) (bool, error)
}{
	{
		"ANY gets the minimal answer of RFC 8482; CoreDNS says that there are no records",
		func(_ clients, q world.Question, v verdict) (bool, error) {
			if q.Msg.Question[0].Qtype != dns.TypeANY || v.got.Rcode != dns.RcodeSuccess || len(v.got.Answer) != 1 {
				return false, nil
			}
			info, ok := v.got.Answer[0].(*dns.HINFO)
			return ok && info.Cpu == "RFC8482" && info.Hdr.Name == v.got.Question[0].Name, nil
		},
	},
	{
		"the top of a zone and ns.dns below it are found in capitals; CoreDNS knows them in lower case only",
		func(both clients, q world.Question, v verdict) (bool, error) {
			lower := world.Question{Msg: q.Msg.Copy(), TCP: q.TCP}
			lower.Msg.Question[0].Name = strings.ToLower(q.Msg.Question[0].Name)
			if lower.Msg.Question[0].Name == q.Msg.Question[0].Name {
				return false, nil
			}
			want, err := both.want.Ask(lower.Msg, lower.TCP)
			if err != nil {
				return false, err
			}
			got := v.got.Copy()
			got.Question[0].Name = lower.Msg.Question[0].Name
			for _, rr := range got.Answer {
				rr.Header().Name = strings.ToLower(rr.Header().Name)
			}
			return len(compare.Differences(want, got)) == 0, nil
		},
	},
	{
		"an alias whose target cannot be resolved is SERVFAIL; CoreDNS gives the alias alone, which denies that there is more",
		func(_ clients, q world.Question, v verdict) (bool, error) {
			if v.got.Rcode != dns.RcodeServerFailure || len(v.got.Answer) > 0 || v.want.Rcode != dns.RcodeSuccess || len(v.want.Answer) == 0 {
				return false, nil
			}
			last, ok := v.want.Answer[len(v.want.Answer)-1].(*dns.CNAME)
			return ok && stub.Answer(new(dns.Msg).SetQuestion(last.Target, q.Msg.Question[0].Qtype)).Rcode == dns.RcodeServerFailure, nil
		},
	},
	{
		"no reply over UDP is longer than 1232 bytes, whatever the client allows (DNS flag day 2020)",
		func(both clients, q world.Question, v verdict) (bool, error) {
			opt := q.Msg.IsEdns0()
			if q.TCP || opt == nil || opt.UDPSize() <= 1232 || v.want.Len() <= 1232 {
				return false, nil
			}
			if !v.got.Truncated && q.Msg.Question[0].Qtype == dns.TypeSRV { // the answer fits, not all of the glue
				return only(compare.Differences(v.want, v.got), "additional") && within(v.got.Extra, v.want.Extra), nil
			}
			whole, err := both.got.Ask(q.Msg, true)
			if err != nil {
				return false, err
			}
			return v.got.Truncated && within(v.got.Answer, whole.Answer) && len(compare.Differences(v.want, whole)) == 0, nil
		},
	},
	{
		"a dot within a label of a reverse name does not part it; CoreDNS takes it for the end of the label",
		func(_ clients, q world.Question, v verdict) (bool, error) {
			name := strings.ToLower(q.Msg.Question[0].Name)
			return strings.Contains(name, `\.`) && strings.HasSuffix(name, ".arpa.") && v.got.RecursionAvailable, nil
		},
	},
	{
		"pods verified: an address is the same in every spelling; CoreDNS compares the text in the name with the pod's",
		func(_ clients, q world.Question, v verdict) (bool, error) {
			labels := dns.SplitDomainName(strings.TrimSuffix(strings.ToLower(q.Msg.Question[0].Name), ".pod."+world.Domain))
			if len(labels) < 2 || v.want.Rcode != dns.RcodeNameError || v.got.Rcode != dns.RcodeSuccess {
				return false, nil
			}
			text := strings.ReplaceAll(labels[len(labels)-2], "-", ":")
			address, err := netip.ParseAddr(text)
			return err == nil && address.String() != text, nil
		},
	},
	{
		"glue that does not fit is left out without TC, since the answer is complete (RFC 2181, 9); CoreDNS sets TC",
		func(both clients, q world.Question, v verdict) (bool, error) {
			if !v.want.Truncated || v.got.Truncated || q.TCP || q.Msg.Question[0].Qtype != dns.TypeSRV {
				return false, nil
			}
			whole, err := both.want.Ask(q.Msg, true)
			if err != nil {
				return false, err
			}
			if only(compare.Differences(whole, v.got), "additional") {
				return within(v.got.Extra, whole.Extra), nil
			}
			return false, nil
		},
	},
	{
		"dns-version has the TTL of the specification; in CoreDNS the plugin cache cuts it to 30",
		func(_ clients, q world.Question, v verdict) (bool, error) {
			if q.Msg.Question[0].Qtype != dns.TypeTXT || !strings.EqualFold(q.Msg.Question[0].Name, "dns-version."+world.Domain) {
				return false, nil
			}
			return only(compare.Differences(untimed(v.want), untimed(v.got))) && v.got.Answer[0].Header().Ttl == 28800, nil
		},
	},
	{
		"the records that an alias leads to keep their TTL, and the alias its own; CoreDNS gives all of them the shortest",
		func(_ clients, _ world.Question, v verdict) (bool, error) {
			if !v.got.Authoritative || len(v.got.Answer) < 2 || v.got.Answer[0].Header().Rrtype != dns.TypeCNAME {
				return false, nil
			}
			return only(compare.Differences(untimed(v.want), untimed(v.got))) && shortest(v.want.Answer) == shortest(v.got.Answer), nil
		},
	},
	{
		"what an upstream says and what cannot be kept is passed on as it is; CoreDNS changes its TTL as if it were kept",
		func(_ clients, q world.Question, v verdict) (bool, error) {
			if !v.got.RecursionAvailable || !only(compare.Differences(untimed(v.want), untimed(v.got))) {
				return false, nil
			}
			return !slices.Contains(compare.Differences(stub.Answer(q.Msg), v.got), "answer"), nil
		},
	},
}

// only reports whether what contains nothing but these aspects.
func only(what []string, aspects ...string) bool {
	return !slices.ContainsFunc(what, func(one string) bool { return !slices.Contains(aspects, one) })
}

// within reports whether all records of a part, except an OPT, are in the whole.
func within(part, whole []dns.RR) bool {
	var all []string
	for _, rr := range whole {
		all = append(all, strings.ToLower(rr.String()))
	}
	return !slices.ContainsFunc(part, func(rr dns.RR) bool {
		return rr.Header().Rrtype != dns.TypeOPT && !slices.Contains(all, strings.ToLower(rr.String()))
	})
}

// untimed returns m without TTLs.
func untimed(m *dns.Msg) *dns.Msg {
	m = m.Copy()
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if rr.Header().Rrtype != dns.TypeOPT {
				rr.Header().Ttl = 0
			}
		}
	}
	return m
}

func shortest(section []dns.RR) uint32 {
	least := section[0].Header().Ttl
	for _, rr := range section {
		least = min(least, rr.Header().Ttl)
	}
	return least
}
