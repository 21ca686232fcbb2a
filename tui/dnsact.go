package tui

import (
	"slices"
	"strings"

	"bonsai/tui/paint"
)

func (p *dnsPage) act(id string) bool {
	switch id {
	case "dns.failures":
		p.refilter(p.list.filter.Text(), !p.list.filter.Failures())
	case "dns.group":
		p.grouped = !p.grouped
		p.refilter(p.list.filter.Text(), p.list.filter.Failures())
	case "dns.pause":
		p.list.pause(!p.list.paused())
	case "dns.explain":
		p.closed = !p.closed
		p.list.tie()
	case "dns.type":
		p.chooseType()
	case "dns.pod":
		p.choosePod()
	case "dns.copy", "dns.copy.right":
		p.copy(id == "dns.copy.right")
	case "trace":
		p.trace()
	case "resolve":
		p.resolve()
	default:
		if p.grouped {
			return gridAct(p.u, p.groups, id)
		}
		if !p.list.act(id) {
			return false
		}
		p.closed = false
	}
	return true
}

// copy copies the name under the cursor, or the one that was probably meant.
func (p *dnsPage) copy(right bool) {
	q := p.current()
	if q == nil {
		return
	}
	name := q.Asked.Value()
	if m := p.guess(q); right && len(m) > 0 {
		name = m[0].Right
	}
	p.u.copy(name)
}

func (p *dnsPage) back() bool {
	switch {
	case p.list.filter.Text() != "":
		p.setFilter("")
	case p.list.filter.Failures():
		p.refilter("", false)
	case p.grouped:
		p.act("dns.group")
	case p.list.paused():
		p.list.pause(false)
	default:
		return false
	}
	return true
}

func (p *dnsPage) click(_, y int) {
	y -= headRows
	if p.grouped {
		p.groups.Click(0, y)
	} else {
		p.list.click(y - 1)
	}
	p.closed = false
	p.u.touch()
}

func (p *dnsPage) wheel(rows int) {
	if p.grouped {
		p.groups.Move(rows)
	} else {
		p.list.move(rows)
	}
}

// chooseType narrows the list to one record type.
func (p *dnsPage) chooseType() {
	count := map[string]int{}
	for n := p.ring.Oldest(); n < p.ring.Next(); n++ {
		count[p.ring.Get(n).Type.Value()]++
	}
	p.chooseTerm("type", p.u.T("type"), count)
}

// choosePod narrows the list to one that asks.
func (p *dnsPage) choosePod() {
	count := map[string]int{}
	for _, a := range p.ring.Asking(500) {
		count[a.Who.Value()] = a.Count
	}
	p.chooseTerm("pod", p.u.T("who asks"), count)
}

// chooseTerm puts key:value into the filter, in place of another of that key.
func (p *dnsPage) chooseTerm(key, title string, count map[string]int) {
	set := func(value string) {
		var words []string
		for word := range strings.FieldsSeq(p.list.filter.Text()) {
			if !strings.HasPrefix(word, key+":") {
				words = append(words, word)
			}
		}
		if value != "" {
			words = append(words, key+":"+value)
		}
		p.setFilter(strings.Join(words, " "))
	}
	values := slices.SortedFunc(keysSeq(count), func(a, b string) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return strings.Compare(a, b)
	})
	choices := []choice{{title: p.u.T("all"), run: func() { set("") }}}
	for _, v := range values {
		choices = append(choices, choice{title: v, hint: itoa(count[v]), run: func() { set(v) }})
	}
	p.u.choose(title, choices)
}

// openDNS shows what a pod asks.
func (u *ui) openDNS(s *subject) {
	u.act("screen.dns")
	p := u.dnsPage()
	p.grouped = false
	p.refilter("pod:"+s.ref.Namespace+"/"+s.ref.Name, false)
}

// trace asks the name under the cursor again, in the same pod's name, and shows each step.
func (p *dnsPage) trace() {
	q := p.current()
	if q == nil {
		p.u.toast.say(paint.Dim, p.u.T("nothing is selected"))
		return
	}
	pod := ""
	if q.Namespace() != "" {
		pod = q.Client.Value()
	}
	p.u.push(newLookupPage(p.u, q.Asked.Value(), q.Type.Value(), pod))
}

// resolve asks for a name, a type and a pod, and shows how the pod would find it.
func (p *dnsPage) resolve() {
	u, pod := p.u, ""
	if q := p.current(); q != nil && q.Namespace() != "" {
		pod = q.Client.Value()
	}
	label := u.T("resolve NAME [TYPE] [from NAMESPACE/POD]: ")
	if pod != "" {
		label = u.T("resolve, as %s: ", pod)
	}
	u.openPrompt(&prompt{label: label, kind: "resolve", done: func(text string) {
		name, kind, from := readLookup(text)
		if name == "" {
			return
		}
		if from == "" {
			from = pod
		}
		u.push(newLookupPage(u, name, kind, from))
	}}, "")
}

// readLookup reads "web AAAA from shop/cart-1"; all but the name may be left out.
func readLookup(text string) (name, kind, pod string) {
	for word := range strings.FieldsSeq(text) {
		switch {
		case name == "":
			name = word
		case strings.EqualFold(word, "from"):
		case strings.Contains(word, "/"):
			pod = word
		default:
			kind = strings.ToUpper(word)
		}
	}
	return name, kind, pod
}
