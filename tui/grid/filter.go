package grid

import (
	"strings"
)

// filter is a parsed filter: every term has to match.
type filter struct {
	text  string
	terms []term
}

type term struct {
	kind   byte // 0 text, '~' fuzzy, '=' label, ':' column
	not    bool
	key    string
	value  string
	column int
}

// SetFilter shows only rows that match. Words are parted by spaces, and all have to match:
//
//	web         the text anywhere in the row, upper or lower case
//	!web        not that text
//	~wb         its letters in this order, in the name
//	app=web     a label; app= any value, !app=web another or none
//	node:dev-2  a column, by the beginning of its title
func (g *Grid) SetFilter(text string) {
	f := filter{text: text}
	for word := range strings.FieldsSeq(text) {
		t := term{}
		if rest, ok := strings.CutPrefix(word, "!"); ok && rest != "" {
			t.not, word = true, rest
		}
		key, value, isLabel := strings.Cut(word, "=")
		title, want, isColumn := strings.Cut(word, ":")
		column := -1
		if isColumn {
			column = g.columnNamed(title)
		}
		switch {
		case len(word) > 1 && word[0] == '~':
			t.kind, t.value = '~', strings.ToLower(word[1:])
		case column >= 0:
			t.kind, t.column, t.value = ':', column, strings.ToLower(want)
		case isLabel && key != "":
			t.kind, t.key, t.value = '=', key, value
		default:
			t.value = strings.ToLower(word)
		}
		f.terms = append(f.terms, t)
	}
	line := g.index - g.top
	g.filter = f
	g.narrow()
	g.follow(line)
}

// Filter returns the text of the filter.
func (g *Grid) Filter() string { return g.filter.text }

func (g *Grid) columnNamed(title string) int {
	if title == "" {
		return -1
	}
	for i, c := range g.columns {
		if len(c.Title) >= len(title) && strings.EqualFold(c.Title[:len(title)], title) {
			return i
		}
	}
	return -1
}

func (f *filter) match(it *Item) bool {
	for i := range f.terms {
		if f.terms[i].match(it) == f.terms[i].not {
			return false
		}
	}
	return true
}

func (t *term) match(it *Item) bool {
	switch t.kind {
	case '=':
		v, ok := it.Labels[t.key]
		return ok && (t.value == "" || v == t.value)
	case ':':
		return strings.Contains(strings.ToLower(cell(it, t.column)), t.value)
	case '~':
		return fuzzy(strings.ToLower(it.Key), t.value)
	}
	return strings.Contains(it.text(), t.value)
}

// text is what a search looks at.
func (it *Item) text() string {
	if it.search == "" {
		it.search = strings.ToLower(it.Key + " " + strings.Join(it.Cells, " "))
	}
	return it.search
}

// fuzzy says whether the letters of want are in text, in this order.
func fuzzy(text, want string) bool {
	for _, r := range want {
		i := strings.IndexRune(text, r)
		if i < 0 {
			return false
		}
		text = text[i+len(string(r)):]
	}
	return true
}
