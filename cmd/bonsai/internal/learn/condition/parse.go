package condition

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Parse reads a condition. An error says what was expected instead.
func Parse(text string) (Condition, error) {
	words, err := split(text)
	if err != nil {
		return Condition{}, err
	}
	p := &parser{words: words}
	root, err := p.either()
	if err == nil && p.next < len(words) {
		err = fmt.Errorf("%q was not expected", words[p.next].text)
	}
	if err != nil {
		return Condition{}, err
	}
	return Condition{strings.TrimSpace(text), root}, nil
}

// word is a part of a condition; one that was quoted is never an operator.
type word struct {
	text   string
	quoted bool
}

// split cuts at spaces, outside of quotation marks at the beginning of a word.
func split(text string) ([]word, error) {
	var words []word
	for {
		text = strings.TrimLeft(text, " \t")
		switch {
		case text == "":
			return words, nil
		case strings.ContainsAny(text[:1], "\n\r"):
			return nil, errors.New("a condition is one line")
		case text[0] == '"':
			end := strings.IndexByte(text[1:], '"') + 1
			if end == 0 {
				return nil, errors.New(`a " has no end`)
			}
			words, text = append(words, word{text[1:end], true}), text[end+1:]
		default:
			end := strings.IndexAny(text, " \t\n\r")
			if end < 0 {
				end = len(text)
			}
			words, text = append(words, word{text: text[:end]}), text[end:]
		}
	}
}

type parser struct {
	words []word
	next  int
	depth int
}

// take returns the next word if it is one of these.
func (p *parser) take(these ...string) (string, bool) {
	if p.next < len(p.words) && !p.words[p.next].quoted && slices.Contains(these, p.words[p.next].text) {
		p.next++
		return p.words[p.next-1].text, true
	}
	return "", false
}

// word returns the next word; what names it in the error.
func (p *parser) word(what string) (string, error) {
	if p.next >= len(p.words) {
		return "", fmt.Errorf("%s is missing at the end", what)
	}
	p.next++
	return p.words[p.next-1].text, nil
}

func (p *parser) either() (test, error) {
	var tests either
	for {
		t, err := p.all()
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
		if _, more := p.take("or"); !more {
			break
		}
	}
	if len(tests) == 1 {
		return tests[0], nil
	}
	return tests, nil
}

func (p *parser) all() (test, error) {
	var tests all
	for {
		t, err := p.one()
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
		if _, more := p.take("and"); !more {
			break
		}
	}
	if len(tests) == 1 {
		return tests[0], nil
	}
	return tests, nil
}

func (p *parser) one() (test, error) {
	if _, ok := p.take("not"); ok {
		if p.depth++; p.depth > 50 {
			return nil, errors.New("it has too many times not")
		}
		of, err := p.one()
		return not{of}, err
	}
	if topic, ok := p.take(string(DNS), string(HTTP), string(Reach)); ok {
		return p.question(Topic(topic))
	}
	subject, err := p.word("an object, such as pod/web,")
	if err != nil {
		return nil, err
	}
	var where place
	kind, name, single := strings.Cut(subject, "/")
	selector := ""
	if i := strings.IndexByte(subject, '['); i >= 0 && strings.HasSuffix(subject, "]") {
		kind, selector, single = subject[:i], subject[i+1:len(subject)-1], false
	}
	found := false
	if where.kind, found = kindNamed(kind, !single); !found {
		return nil, fmt.Errorf("%q is neither one object, as pod/web, nor several, as pods or pods[app=web]", subject)
	}
	if _, ok := p.take("in"); ok {
		if where.namespace, err = p.word("a namespace"); err != nil {
			return nil, err
		}
	}
	if !single {
		return p.many(where, selector)
	}
	if name == "" {
		return nil, fmt.Errorf("%q has no name", subject)
	}
	is, err := p.predicate(true)
	return one{where, name, is}, err
}

func (p *parser) many(where place, selector string) (test, error) {
	t := many{place: where}
	for part := range strings.SplitSeq(selector, ",") {
		if selector == "" {
			break
		}
		key, value, _ := strings.Cut(part, "=")
		r := requirement{key: strings.TrimSuffix(key, "!"), value: value, not: strings.HasSuffix(key, "!") || strings.HasPrefix(key, "!")}
		if r.key = strings.TrimPrefix(r.key, "!"); r.key == "" {
			return nil, fmt.Errorf("%q is not a label: use key=value, key!=value, key or !key", part)
		}
		t.selector = append(t.selector, r)
	}
	var err error
	if _, ok := p.take("where"); ok {
		if t.where, err = p.predicate(false); err != nil {
			return nil, err
		}
		if _, ok := p.take("count"); !ok {
			return nil, errors.New("after where and a test comes count")
		}
		t.how = "count"
	} else if t.how, ok = p.take("count", "any", "all", "none"); !ok {
		return nil, fmt.Errorf("after %s comes count, where, any, all or none", where.kind.Resource)
	}
	if t.how == "count" {
		t.count, err = p.comparison()
	} else {
		t.where, err = p.predicate(false)
	}
	return t, err
}

func (p *parser) question(topic Topic) (test, error) {
	t := question{topic: topic, how: "answers"}
	var err error
	if t.of, err = p.word("what is asked"); err != nil {
		return nil, err
	}
	if topic == Reach {
		to, err := p.word("what is to be reached")
		if err != nil {
			return nil, err
		}
		if !strings.Contains(to, ":") {
			return nil, fmt.Errorf("%q has no port: use NAME:PORT", to)
		}
		t.of += " " + to
		return t, nil
	}
	if topic == HTTP {
		if service, _, _ := strings.Cut(t.of, "/"); !strings.Contains(service, ":") {
			return nil, fmt.Errorf("%q has no port: use SERVICE:PORT/PATH", t.of)
		}
	}
	switch how, _ := p.take("answers", "fails", "status", "has"); {
	case how == "answers" || how == "fails":
		t.how = how
	case topic == DNS || how == "":
		return nil, fmt.Errorf("after %s %s comes answers or fails, or of http, status or has", topic, t.of)
	case how == "has":
		t.how, t.with.op = how, how
		t.with.want, err = p.word("a text")
	default:
		t.how = how
		t.with, err = p.comparison()
	}
	return t, err
}

func (p *parser) comparison() (c comparison, err error) {
	op, ok := p.take(operators...)
	if !ok {
		return c, fmt.Errorf("one of %s was expected", strings.Join(operators, " "))
	}
	c.op = op
	c.want, err = p.word("a value")
	return c, err
}

// predicate reads a statement about an object. Only one that is named can be absent.
func (p *parser) predicate(named bool) (predicate, error) {
	if p.next < len(p.words) && !p.words[p.next].quoted && strings.HasPrefix(p.words[p.next].text, ".") {
		return p.field()
	}
	how, err := p.word("a test, such as ready,")
	if err != nil {
		return nil, err
	}
	switch how {
	case "exists":
		if named {
			return isExists{}, nil
		}
	case absent:
		if named {
			return isAbsent{}, nil
		}
	case "ready":
		return isReady{}, nil
	case "is":
		name, err := p.word("a condition, such as Ready,")
		return isTrue{condition: name}, err
	case "image":
		c, err := p.comparison()
		return image{with: c}, err
	case "label", "annotation":
		key, err := p.word("a key")
		if err != nil {
			return nil, err
		}
		t := field{path: path{{field: "metadata"}, {field: how + "s"}, {field: key}}}
		if op, ok := p.take("exists", absent); ok {
			t.with.op = op
			return t, nil
		}
		t.with, err = p.comparison()
		return t, err
	case "waiting", "terminated":
		reason, err := p.word("a reason")
		return container{how: how, want: reason}, err
	case "restarts":
		c, err := p.comparison()
		return container{how: how, with: c}, err
	case "endpoints":
		c, err := p.comparison()
		return endpoints{c}, err
	case "event":
		reason, err := p.word("a reason")
		return event{reason}, err
	}
	return nil, fmt.Errorf("%q is not a test: use ready, is, image, label, annotation, waiting, terminated, restarts, endpoints, event, a field such as .spec.replicas, or of one object exists or absent", how)
}

func (p *parser) field() (predicate, error) {
	text, _ := p.word("a field")
	where, err := parsePath(text)
	if err != nil {
		return nil, err
	}
	t := field{path: where}
	if op, ok := p.take("exists", absent); ok {
		t.with.op = op
		return t, nil
	}
	t.with, err = p.comparison()
	return t, err
}
