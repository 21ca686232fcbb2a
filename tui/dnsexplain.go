package tui

import (
	"cmp"
	"strings"
	"time"

	"bonsai/bootstrap/nearmiss"
	"bonsai/tui/dnslog"
	"bonsai/tui/paint"
)

// explains says whether the question under the cursor is explained below it.
func (p *dnsPage) explains(q *dnslog.Query) bool {
	if p.closed {
		return false
	}
	if p.list.tied() || !q.Verdict.Failed() {
		return p.list.tied()
	}
	rest := restsFor - p.u.clock.now().Sub(time.Unix(0, q.Time))
	if rest > 0 {
		p.u.clock.changesIn(rest)
	}
	return rest <= 0
}

// details explain a question: what the search path tried, what may have been meant, and who answered what.
func (p *dnsPage) details(q *dnslog.Query, w int) []string {
	u, g := p.u, &p.u.theme.Glyphs
	var rows [][]fact
	if tries := q.Tries(); len(tries) > 0 {
		row := []fact{{paint.Dim, u.T("tried") + " "}}
		step := func(rest string, state paint.State) {
			text := u.T("as given")
			if rest != "" {
				text = "+ " + rest
			}
			row = append(row, fact{state.Role(), " " + text + " " + u.theme.Glyph(state, 0) + " "})
		}
		for _, t := range tries {
			step(t, paint.StateFail)
		}
		state := paint.StateOK
		if q.Verdict.Failed() {
			state = paint.StateFail
		}
		step(q.Rest(), state)
		rows = append(rows, row)
	}
	if why := p.why(q); len(why) > 0 {
		rows = append(rows, why)
	}
	answer := []fact{{paint.Dim, u.T("answered by %s", cmp.Or(q.Node.Value(), "?"))}}
	if up := q.Upstream.Value(); up != "" {
		answer = append(answer, fact{paint.Dim, " " + g.Left + " " + up})
	}
	if q.TCP {
		answer = append(answer, fact{paint.Dim, "  TCP"})
	}
	answer = append(answer, fact{paint.Dim, "  " + q.Rcode.Value()}, fact{paint.Plain, "  " + q.Answers.Value()})
	if q.Name != q.Asked {
		answer = append(answer, fact{paint.Dim, "  " + u.T("as %s", q.Name.Value())})
	}
	rows = append(rows, answer)
	var lines []string
	for i, row := range rows {
		branch, under := g.Tree, g.TreeUp
		if i == len(rows)-1 {
			branch, under = g.TreeLast, " "
		}
		// What has no room goes on in a line below, piece by piece.
		l := u.theme.Line(w).Add(paint.Dim, "     "+branch+" ")
		for j, f := range row {
			width := paint.Width(f.text)
			if f.role == paint.Key && j+1 < len(row) {
				width += paint.Width(row[j+1].text) // a key stays with its word
			}
			if l.Room() < width && w-l.Room() > 8 {
				lines = append(lines, l.String())
				l = u.theme.Line(w).Add(paint.Dim, "     "+under+"   ")
				f.text = strings.TrimLeft(f.text, " ")
			}
			l.Add(f.role, f.text)
		}
		lines = append(lines, l.String())
	}
	return lines
}

// why says what is behind an answer, and what to do.
func (p *dnsPage) why(q *dnslog.Query) []fact {
	u := p.u
	asked := q.Asked.Value()
	switch {
	case q.Verdict == dnslog.Missing:
		if m := p.guess(q); len(m) > 0 {
			row := []fact{{paint.Warn, u.T("similar name:") + " "}, {paint.Plain, p.guessText(m[0]) + " " + u.theme.Glyphs.Right + " "}, {paint.Strong, m[0].Right}}
			for _, other := range m[1:] {
				row = append(row, fact{paint.Plain, " " + u.T("or") + " " + other.Right})
			}
			return append(row, fact{paint.Key, "   " + u.keys.Key("dns.copy.right")}, fact{paint.Dim, " " + u.T("copies the right name")})
		}
		if full, ok := nearmiss.Full(asked, q.Namespace(), u.state.Services.Known); ok {
			return []fact{{paint.Plain, u.T("%s exists: some programs, such as nslookup, try the whole search path even after they have found it", full.Right)}}
		}
		if ofCluster(asked) {
			return []fact{{paint.Warn, u.T("no Service or pod of the cluster has this name or a similar one")}}
		}
		if q.Outside() {
			return []fact{{paint.Plain, u.T("there is no such name outside the cluster")}}
		}
	case q.Verdict == dnslog.Broken && q.Outside():
		return []fact{{paint.Warn, u.T("the upstream did not answer, or its answer was not usable; %s asks again", u.keys.Key("trace"))}}
	case q.Verdict == dnslog.NoData:
		return []fact{{paint.Plain, u.T("the name exists, but has no records of type %s; most programs ask for A and AAAA", q.Type.Value())}}
	case q.Wasteful():
		return []fact{{paint.Warn, u.T("%d useless questions each time: a dot at the end of the name, or ndots 1 in the pod's dnsConfig, avoids them", q.Steps-1)}}
	case q.Took >= slowAnswer:
		return []fact{{paint.Warn, u.T("slow: a program waits this long before it can connect")}}
	}
	return nil
}

func (p *dnsPage) guessText(m nearmiss.Meant) string {
	u, s := p.u, m.Service
	switch m.Reason {
	case nearmiss.Name:
		return u.T("the Service in namespace %s is called %s", s.Namespace, s.Name)
	case nearmiss.Both:
		return u.T("there is a Service %s in namespace %s", s.Name, s.Namespace)
	case nearmiss.Unsearched:
		return u.T("service %s exists, but the program asked without the search path", s.Name)
	case nearmiss.Domain:
		return u.T("the domain after service %s is wrong", s.Name)
	}
	return u.T("service %s is in namespace %s", s.Name, s.Namespace)
}

// short is a pod without its namespace and without the random ends of its name.
func short(client string) string {
	ns, name, ok := strings.Cut(client, "/")
	if !ok || ns == "node" {
		return client
	}
	parts := strings.Split(name, "-")
	if n := len(parts); n > 1 && random(parts[n-1]) {
		parts = parts[:n-1]
		if n := len(parts); n > 1 && len(parts[n-1]) >= 5 && random(parts[n-1]) {
			parts = parts[:n-1]
		}
	}
	return strings.Join(parts, "-")
}

// random says that a part of a name looks like one that Kubernetes has made up: of its safe letters, without vowels.
func random(part string) bool {
	return len(part) >= 3 && strings.Trim(part, "bcdfghjklmnpqrstvwxz2456789") == "" && (len(part) >= 5 || strings.ContainsAny(part, "2456789"))
}
