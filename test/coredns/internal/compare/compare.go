// Package compare asks DNS servers the same question and reports how their replies differ.
package compare

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Client asks one server, over a socket for UDP and a connection for TCP that it keeps.
type Client struct {
	udp, tcp string
	conns    map[bool]*dns.Conn
}

// NewClient returns a client for the server at these addresses; nothing is opened yet.
func NewClient(udp, tcp string) *Client {
	return &Client{udp: udp, tcp: tcp, conns: map[bool]*dns.Conn{}}
}

// Close may be followed by further questions.
func (c *Client) Close() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	clear(c.conns)
}

// Ask returns the reply to q as it came over the wire, which leaves q as it was.
func (c *Client) Ask(q *dns.Msg, tcp bool) (*dns.Msg, error) {
	conn, err := c.conn(tcp)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	// Servers work on the message that they are given; so does packing.
	if err := conn.WriteMsg(q.Copy()); err != nil {
		c.Close()
		return nil, fmt.Errorf("asking %s: %w", c.udp, err)
	}
	for {
		reply, err := conn.ReadMsg()
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("waiting for the reply of %s: %w", c.udp, err)
		}
		if reply.Id == q.Id || tcp {
			return reply, nil
		}
	}
}

func (c *Client) conn(tcp bool) (*dns.Conn, error) {
	if conn := c.conns[tcp]; conn != nil {
		return conn, nil
	}
	network, address := "udp", c.udp
	if tcp {
		network, address = "tcp", c.tcp
	}
	conn, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	c.conns[tcp] = &dns.Conn{Conn: conn, UDPSize: dns.MaxMsgSize}
	return c.conns[tcp], nil
}

// aspects are the parts of a reply that must agree, as text. Records are sets: both servers shuffle. Serials of SOA
// records encode the time of a server's newest change and are omitted. The requested name must be spelled as in the
// question wherever it owns an answer; no resolver looks at the spelling of others (CoreDNS spells the cluster's domain
// in them as in the question).
func aspects(m *dns.Msg) map[string]string {
	flags := fmt.Sprintf("qr=%v opcode=%d aa=%v tc=%v rd=%v ra=%v z=%v ad=%v cd=%v",
		m.Response, m.Opcode, m.Authoritative, m.Truncated, m.RecursionDesired, m.RecursionAvailable, m.Zero, m.AuthenticatedData, m.CheckingDisabled)
	out := map[string]string{
		"id":         fmt.Sprint(m.Id),
		"rcode":      dns.RcodeToString[m.Rcode],
		"flags":      flags,
		"question":   fmt.Sprint(m.Question),
		"answer":     set(m.Answer, asked(m)),
		"authority":  set(m.Ns, ""),
		"additional": set(m.Extra, ""),
	}
	if opt := m.IsEdns0(); opt != nil {
		out["edns"] = fmt.Sprintf("version=%d do=%v options=%v", opt.Version(), opt.Do(), opt.Option)
	}
	return out
}

// asked is the name in the question as it was spelled.
func asked(m *dns.Msg) string {
	if len(m.Question) != 1 {
		return ""
	}
	return m.Question[0].Name
}

// set is the records of a section without an OPT, each on a line. The spelling of asked, if it is given, counts.
func set(section []dns.RR, asked string) string {
	times := map[string]int{}
	for _, rr := range section {
		if rr.Header().Rrtype == dns.TypeOPT {
			continue
		}
		if soa, ok := rr.(*dns.SOA); ok {
			rr = dns.Copy(soa)
			rr.(*dns.SOA).Serial = 0
		}
		owner, data, _ := strings.Cut(rr.String(), "\t")
		if !strings.EqualFold(owner, asked) {
			owner = strings.ToLower(owner)
		}
		times[owner+" "+strings.ToLower(data)]++
	}
	var lines []string
	for line, count := range times {
		if count > 1 { // a set, but duplicates are noted
			line = fmt.Sprintf("%s (%d times)", line, count)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Differences are the aspects in which two replies differ, sorted; none if they agree. If both replies are truncated,
// it does not matter which records are left.
func Differences(a, b *dns.Msg) []string {
	left, right := aspects(a), aspects(b)
	var out []string
	for aspect := range left {
		if a.Truncated && b.Truncated && slices.Contains([]string{"answer", "authority", "additional"}, aspect) {
			continue
		}
		if left[aspect] != right[aspect] {
			out = append(out, aspect)
		}
	}
	if right["edns"] != "" && left["edns"] == "" {
		out = append(out, "edns")
	}
	slices.Sort(out)
	return out
}

// Disorder returns what is wrong with the order of an answer: the records of a chain of aliases must follow each other,
// and their target must come last. Resolvers depend on it.
func Disorder(m *dns.Msg) string {
	if len(m.Question) != 1 || len(m.Answer) == 0 {
		return ""
	}
	next := m.Question[0].Name
	for _, rr := range m.Answer {
		if !strings.EqualFold(rr.Header().Name, next) {
			return fmt.Sprintf("%s stands where %s was expected", rr.Header().Name, next)
		}
		if alias, ok := rr.(*dns.CNAME); ok {
			next = alias.Target
		}
	}
	return ""
}
