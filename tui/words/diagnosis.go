package words

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// phrase is a sentence of a diagnosis with gaps, each written as {}, or {_} for one word; a translation names them {1}, {2}
// where their order differs, and {} where it does not.
type phrase struct{ english, translated string }

// compiled is a phrase that finds its sentences.
type compiled struct {
	*regexp.Regexp
	translated string
	literal    int // letters that are not gaps
}

// gap is what may stand in a gap: anything but the end of a part of a sentence. word is one without a space.
const (
	gap  = `((?:[^;]|;[^ ])+?)`
	word = `([^ ;]+)`
)

// compile prepares phrases, those with the most words of their own first.
func compile(phrases []phrase) []compiled {
	list := make([]compiled, 0, len(phrases))
	for _, p := range phrases {
		pattern := strings.NewReplacer(regexp.QuoteMeta("{}"), gap, regexp.QuoteMeta("{_}"), word).Replace(regexp.QuoteMeta(p.english))
		letters := strings.NewReplacer("{}", "", "{_}", "").Replace(p.english)
		list = append(list, compiled{regexp.MustCompile("^" + pattern + "$"), p.translated, len(letters)})
	}
	slices.SortStableFunc(list, func(a, b compiled) int { return cmp.Compare(b.literal, a.literal) })
	return list
}

// chineseDiagnoses are compiled with the first diagnosis that is shown in Chinese.
var chineseDiagnoses = sync.OnceValue(func() []compiled {
	return compile(slices.Concat(zhDiagnoses, zhDiagnosisParts, zhWays, zhClusterPolicies))
})

// Diagnosis says what was found out about the cluster in this language. Diagnoses are made in English, where the cluster is
// observed, with names and figures inside; what has no phrase stays as it is.
func (w W) Diagnosis(english string) string {
	if w.lang != "zh" || english == "" {
		return english
	}
	text, _ := diagnosis(english, 0)
	return text
}

// mostNested bounds how often a gap may have a phrase with gaps in it.
const mostNested = 6

// diagnosis translates a sentence, or each of its parts; found says that there was a phrase for some of it.
func diagnosis(english string, depth int) (text string, found bool) {
	if depth > mostNested {
		return english, false
	}
	for _, c := range chineseDiagnoses() {
		gaps := c.FindStringSubmatch(english)
		if gaps == nil {
			continue
		}
		return fillGaps(c.translated, gaps[1:], depth), true
	}
	for _, cut := range []struct{ at, as string }{{"; ", "；"}, {": ", "："}, {", ", "，"}} {
		head, tail, ok := strings.Cut(english, cut.at)
		if !ok {
			continue
		}
		h, foundHead := diagnosis(head, depth+1)
		t, foundTail := diagnosis(tail, depth+1)
		if foundHead || foundTail && cut.at == "; " {
			return h + cut.as + t, true
		}
	}
	return english, false
}

// fillGaps puts what stands in the gaps into a translation.
func fillGaps(translated string, gaps []string, depth int) string {
	next := 0
	return gapMark.ReplaceAllStringFunc(translated, func(mark string) string {
		at := next
		if mark != "{}" {
			at = int(mark[1] - '1')
		}
		next++
		if at >= len(gaps) {
			return mark
		}
		text, _ := diagnosis(gaps[at], depth+1)
		return text
	})
}

var gapMark = regexp.MustCompile(`\{[1-9]?\}`)
