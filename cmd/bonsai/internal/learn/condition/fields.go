package condition

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// step is one part of a path: a field, or entries of a list.
type step struct {
	field string
	every bool   // [*]
	index int    // [2], if key and field are empty
	key   string // [key=value]
	value string
}

// path leads to fields of an object.
type path []step

// parsePath reads ".spec.containers[name=web].image". Names with dots are quoted: .metadata.labels["a.b/c"].
func parsePath(text string) (path, error) {
	var p path
	for rest := text; rest != ""; {
		switch {
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			if end == 1 {
				return nil, fmt.Errorf("the path %s has an empty name", text)
			}
			p, rest = append(p, step{field: rest[1:end]}), rest[end:]
		case strings.HasPrefix(rest, `["`):
			end := strings.Index(rest, `"]`)
			if end < 3 {
				return nil, fmt.Errorf(`the path %s has a [" without a name and "]`, text)
			}
			p, rest = append(p, step{field: rest[2:end]}), rest[end+2:]
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']')
			if end < 2 {
				return nil, fmt.Errorf("the path %s has a [ without ]", text)
			}
			inner := rest[1:end]
			key, value, pair := strings.Cut(inner, "=")
			n, err := strconv.Atoi(inner)
			switch {
			case inner == "*":
				p = append(p, step{every: true})
			case pair && key != "":
				p = append(p, step{key: key, value: value})
			case err == nil && n >= 0:
				p = append(p, step{index: n})
			default:
				return nil, fmt.Errorf("the path %s has [%s]: use [*], [0] or [name=value]", text, inner)
			}
			rest = rest[end+1:]
		default:
			return nil, fmt.Errorf("the path %s is not valid at %q: names begin with a dot", text, rest)
		}
	}
	return p, nil
}

// values are what is there, possibly nothing.
func (p path) values(o any) []any {
	found := []any{o}
	for _, s := range p {
		var next []any
		for _, v := range found {
			next = append(next, s.of(v)...)
		}
		found = next
	}
	return slices.DeleteFunc(found, func(v any) bool { return v == nil })
}

func (s step) of(v any) []any {
	if s.field != "" {
		m, _ := v.(map[string]any)
		if value, ok := m[s.field]; ok {
			return []any{value}
		}
		return nil
	}
	list, _ := v.([]any)
	switch {
	case s.every:
		return list
	case s.key != "":
		var found []any
		for _, entry := range list {
			if m, ok := entry.(map[string]any); ok && text(m[s.key]) == s.value {
				found = append(found, entry)
			}
		}
		return found
	case s.index < len(list):
		return list[s.index : s.index+1]
	}
	return nil
}

// get is the value of a field by its names, nil if there is none.
func get(o any, names ...string) any {
	for _, n := range names {
		m, _ := o.(map[string]any)
		o = m[n]
	}
	return o
}

// number is a field that counts; one that is absent is 0, as the API means it.
func number(o any, names ...string) float64 {
	n, _ := amount(text(get(o, names...)))
	return n
}

// list is a field that is a list.
func list(o any, names ...string) []any {
	l, _ := get(o, names...).([]any)
	return l
}

// text is a value as conditions write it: what is not a scalar is JSON.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case map[string]any, []any:
		data, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(data)
	}
	return fmt.Sprint(v)
}

var suffixes = map[string]float64{
	"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
	"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
}

// amount reads a number or a quantity ("500m", "64Mi").
func amount(s string) (float64, bool) {
	digits := strings.TrimRight(s, "KMGTmki")
	factor, ok := suffixes[s[len(digits):]]
	if !ok || digits == "" || strings.ContainsAny(digits, "xX_nN") {
		return 0, false
	}
	n, err := strconv.ParseFloat(digits, 64)
	return n * factor, err == nil && !math.IsInf(n, 0)
}

// operators, the long ones first.
var operators = []string{"=", "!=", "<=", ">=", "<", ">", "has"}

// compare applies an operator to a value of the cluster.
func compare(value any, op, want string) bool {
	if entries, ok := value.([]any); ok && op == "has" {
		return slices.ContainsFunc(entries, func(e any) bool { return text(e) == want })
	}
	is := text(value)
	a, numberA := amount(is)
	b, numberB := amount(want)
	numbers := numberA && numberB
	switch op {
	case "=":
		return is == want || numbers && a == b
	case "!=":
		return is != want && !(numbers && a == b)
	case "has":
		return strings.Contains(is, want)
	case "<":
		return numbers && a < b
	case "<=":
		return numbers && a <= b
	case ">":
		return numbers && a > b
	default: // ">="
		return numbers && a >= b
	}
}

// comparison is an operator and what it compares with.
type comparison struct{ op, want string }

// any reports whether one of the values fits; none may be equal if it is about inequality.
func (c comparison) any(values []any) bool {
	if c.op == "!=" {
		return !comparison{"=", c.want}.any(values)
	}
	return slices.ContainsFunc(values, func(v any) bool { return compare(v, c.op, c.want) })
}
