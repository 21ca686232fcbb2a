package tui

import (
	"slices"
	"strings"

	"bonsai/tui/paint"
)

func (p *dnsPage) act(id string) bool {
	u := p.u
	switch id {
	case "fix":
		p.refilter(p.list.filter.Text(), !p.list.filter.Failures())
	case "cordon":
		p.grouped = !p.grouped
		p.refilter(p.list.filter.Text(), p.list.filter.Failures())
	case "mark":
		p.list.pause(!p.list.paused())
	case "open":
		p.closed = !p.closed
		p.list.tie()
	case "tree":
		p.chooseType()
	case "logs.previous":
		p.choosePod()
	case "trace":
		p.trace()
	case "resolve":
		p.resolve()
	case "copy.name", "copy.line":
		q := p.current()
		if q == nil {
			return true
		}
		if m := p.guess(q); id == "copy.line" && len(m) > 0 {
			u.copy(m[0].Right)
		} else {
			u.copy(q.Asked.Value())
		}
	case "back":
		switch {
		case p.list.filter.Text() != "":
			p.setFilter("")
		case p.list.filter.Failures():
			p.refilter("", false)
		case p.grouped:
			return p.act("cordon")
		case p.list.paused():
			p.list.pause(false)
		default:
			return false
		}
	case "delete", "scale", "restart", "edit", "birth", "owner", "wide":
		return p.meaning(id) == "-" && p.nothing(id)
	default:
		if p.grouped {
			return gridAct(u, p.groups, id)
		}
		if id == "sort" {
			return p.nothing(id)
		}
		if p.list.act(id) {
			p.closed = false
			return true
		}
		if id == "actions" {
			u.openActions()
			return true
		}
		v := verbNamed(id)
		if v == nil {
			return false
		}
		u.runVerb(v)
	}
	return true
}

// nothing says that a key of lists has no use for questions.
func (p *dnsPage) nothing(id string) bool {
	p.u.toast.say(paint.Dim, p.u.T("that is of no use for a question; %s opens the pod that asked", p.u.keys.Key("describe")))
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
		p.u.toast.say(paint.Dim, p.u.T("nothing is chosen"))
		return
	}
	pod := ""
	if q.Namespace() != "" {
		pod = q.Asker.Value()
	}
	p.u.push(newLookupPage(p.u, q.Asked.Value(), q.Type.Value(), pod))
}

// resolve asks for a name, a type and a pod, and shows how the pod would find it.
func (p *dnsPage) resolve() {
	u, pod := p.u, ""
	if q := p.current(); q != nil && q.Namespace() != "" {
		pod = q.Asker.Value()
	}
	label := u.T("resolve NAME [TYPE] [from NAMESPACE/POD]: ")
	if pod != "" {
		label = u.T("resolve, as %s: ", pod)
	}
	u.prompt = &prompt{label: label, done: func(text string) {
		name, kind, from := readLookup(text)
		if name == "" {
			return
		}
		if from == "" {
			from = pod
		}
		u.push(newLookupPage(u, name, kind, from))
	}}
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
