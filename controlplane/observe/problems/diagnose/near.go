package diagnose

import "slices"

// distance is how many letters have to be changed, added, left away, or swapped with their neighbour to make b of a.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	const long = 253 // no name is longer; this bounds the work on what is none
	if len(x) > long || len(y) > long {
		return max(len(x), len(y))
	}
	// Three rows of the table are enough: optimal string alignment looks back two.
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}

// slips is how many letters of a word may be wrong for it to be a slip.
func slips(word string) int {
	switch n := len([]rune(word)); {
	case n < 3:
		return 0
	case n < 6:
		return 1
	case n < 12:
		return 2
	}
	return 3
}

// nearest returns the one of names that was probably meant, "" if there is none or no telling which.
func nearest(word string, names []string) string {
	best, found, tie := slips(word)+1, "", false
	for _, n := range names {
		switch d := distance(word, n); {
		case n == found || n == word:
		case d < best:
			best, found, tie = d, n, false
		case d == best && found != "":
			tie = true
		}
	}
	if tie || best > slips(word) {
		return ""
	}
	return found
}

// meant is the end of a sentence that says which name was probably meant.
func meant(word string, names []string) string {
	if slices.Contains(names, word) {
		return ""
	}
	if n := nearest(word, names); n != "" {
		return "; meant " + n + "?"
	}
	return ""
}
