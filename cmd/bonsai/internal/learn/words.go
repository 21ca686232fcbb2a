package learn

import (
	"errors"
	"fmt"
	"strings"
)

// Words are the arguments of a command, as a POSIX shell reads them; nothing else of a shell is understood.
func (a Action) Words() ([]string, error) {
	var words []string
	var word strings.Builder
	begun := false
	quote := rune(0)
	for _, r := range a.Command {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r == ' ':
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		case strings.ContainsRune("|&;<>$`\\", r):
			return nil, fmt.Errorf("%q has %q outside of quotation marks; a solution is plain commands", a.Command, r)
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("%q has a quotation mark that does not end", a.Command)
	}
	if begun {
		words = append(words, word.String())
	}
	if len(words) == 0 {
		return nil, errors.New("a command is empty")
	}
	return words, nil
}
