package nearmiss

import "strings"

// Nearest returns the one of names that was probably meant by word, "" if there is none, if several are equally near,
// or if word is one of them. Case is ignored; of names that are equally near, one of the same length wins.
func Nearest(word string, names []string) string {
	limit := slips(word)
	best, found, tie := 2*limit+2, "", false
	for _, n := range names {
		if n == word {
			return ""
		}
		far := 2 * distance(strings.ToLower(word), strings.ToLower(n), limit)
		if len(n) != len(word) {
			far++
		}
		switch {
		case n == found:
		case far < best:
			best, found, tie = far, n, false
		case far == best:
			tie = true
		}
	}
	if tie {
		return ""
	}
	return found
}

// slips is how many mistakes a word of this length may have.
func slips(word string) int {
	switch n := len(word); {
	case n < 3:
		return 0
	case n < 6:
		return 1
	case n < 12:
		return 2
	}
	return 3
}

// longest is the length of the longest words that are compared: longer ones are not names.
const longest = 255

// distance is the number of bytes to insert, remove, replace or swap with their neighbour until a is b (Damerau and
// Levenshtein's, in its restricted form: a swap counts as one mistake, as it is the most frequent one, which the usual
// libraries count as two). It may stop counting above limit. It allocates nothing, as it is called for each of thousands
// of Services.
func distance(a, b string, limit int) int {
	if a == b {
		return 0
	}
	if d := len(a) - len(b); d > limit || -d > limit || len(a) > longest || len(b) > longest {
		return limit + 1
	}
	var rows [3][longest + 1]int
	before, last, now := rows[0][:len(b)+1], rows[1][:len(b)+1], rows[2][:len(b)+1]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
