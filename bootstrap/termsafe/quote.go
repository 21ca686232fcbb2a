package termsafe

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Quote returns s as one word of a POSIX shell: as it is if no shell reads anything into it, else in single quotes.
//
// What String would escape is never in the word itself, so that what is shown is what is copied: printf makes it
// inside the shell. Of such text, line breaks at the end are lost, and so are NULs, which no argument can have.
func Quote(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	switch {
	case s != "" && s[0] != '=' && strings.Trim(s, bare) == "": // zsh looks up the path of what follows a = in front
		return s
	case strings.IndexFunc(s, escaped) < 0:
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString(`"$(printf '`)
	for i, r := range s {
		size := utf8.RuneLen(r)
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			size = 1
		}
		switch {
		case escaped(r):
			for _, c := range []byte(s[i : i+size]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		case r == '%':
			b.WriteString("%%")
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\'', r == '!', r == '-' && i == 0: // the quote's end, bash's history, an option of printf
			fmt.Fprintf(&b, `\%03o`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteString(`')"`)
	return b.String()
}

// bare are the characters that mean nothing to any shell wherever they stand in a word, but for a = in front.
const bare = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-"
