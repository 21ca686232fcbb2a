package corefile

import (
	"fmt"
	"regexp/syntax"
)

// Limits for regexes. Go's regexes take time in proportion to their size and the name's length, and anybody can ask
// questions, so the size has to be limited. A pattern of a hundred characters that was written by hand has a cost of
// about a hundred.
const (
	maxRegexCost    = 2_000
	maxAllRegexCost = 20_000
)

// regex checks a pattern and counts it against the limit of the whole configuration.
func (b *builder) regex(pattern string) error {
	if len(pattern) > maxRegex {
		return fmt.Errorf("the regex is longer than %d characters", maxRegex)
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return fmt.Errorf("the regex cannot be read: %s", shorten(err.Error()))
	}
	cost := regexCost(re)
	if cost > maxRegexCost {
		return fmt.Errorf("the regex is too complex")
	}
	if b.regexCost += cost; b.regexCost > maxAllRegexCost {
		return fmt.Errorf("the regexes are too complex in total")
	}
	return nil
}

// regexCost is about the number of instructions that the pattern compiles to.
func regexCost(re *syntax.Regexp) int {
	cost := 1
	switch re.Op {
	case syntax.OpLiteral:
		cost = len(re.Rune)
	case syntax.OpCharClass:
		cost += len(re.Rune) / 2
	}
	for _, sub := range re.Sub {
		cost = min(cost+regexCost(sub), maxRegexCost+1)
	}
	if re.Op == syntax.OpRepeat {
		cost = (cost - 1) * max(re.Min, re.Max, 1)
	}
	return min(cost, maxRegexCost+1)
}
