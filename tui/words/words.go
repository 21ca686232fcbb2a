// Package words is the one table of what the UI says, in each of its languages.
//
// The English text is the key: code reads W.T("no pods") and a language maps that to its own words. A test reads the
// UI's source and fails for a text that a language lacks. Ages, units and names are the same everywhere.
package words

import (
	"fmt"
	"strings"
)

// W speaks one language. The zero value speaks English.
type W struct {
	lang  string
	table map[string]string
}

// tables has all languages but English.
func tables() map[string]map[string]string { return map[string]map[string]string{"zh": chinese()} }

// Languages are the possible values of For.
func Languages() []string { return []string{"en", "zh"} }

// For returns the words of a language, named as in LANG: "zh_CN.UTF-8", "zh", "en"; English for any other.
func For(lang string) W {
	lang, _, _ = strings.Cut(strings.ToLower(lang), ".")
	lang, _, _ = strings.Cut(strings.ReplaceAll(lang, "-", "_"), "_")
	if table, ok := tables()[lang]; ok {
		return W{lang, table}
	}
	return W{}
}

// Lang names the language.
func (w W) Lang() string {
	if w.lang == "" {
		return "en"
	}
	return w.lang
}

// T returns an English text in this language; with arguments it is formatted.
func (w W) T(english string, args ...any) string {
	text, ok := w.table[english]
	if !ok {
		text = english
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// Has says whether a language has its own words for an English text.
func Has(lang, english string) bool {
	_, ok := tables()[lang][english]
	return ok
}
