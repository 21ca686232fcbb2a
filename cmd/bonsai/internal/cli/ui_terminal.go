package cli

import (
	"fmt"
	"strings"
)

// ColorDepth is how many colours a terminal has.
type ColorDepth int

// The depths, in the order of "never", "16", "256" and "true".
const (
	NoColor ColorDepth = iota
	Colors16
	Colors256
	TrueColor
)

// colorNames are the values of --color after "auto", by depth.
var colorNames = []string{"never", "16", "256", "true"}

// terminalLook is what was detected about a terminal, and how.
type terminalLook struct {
	depth ColorDepth
	ascii bool
	lang  string
	// why explains each of them in one line.
	why []string
}

// detectTerminal determines how a terminal may be drawn on, from the environment alone: querying the terminal itself
// would hang if it does not answer. color, ascii and lang are what the user has set; "auto", false and "" if nothing.
func detectTerminal(getenv func(string) string, color string, ascii bool, lang string) terminalLook {
	var l terminalLook
	depth, why := colorDepth(getenv, color)
	l.depth = depth
	l.why = append(l.why, fmt.Sprintf("colours: %s, because %s", depthWord(depth), why))
	if getenv("CI") != "" {
		l.why = append(l.why, "CI is set, which says nothing about a terminal and has no effect here")
	}

	locale, from := locale(getenv)
	switch {
	case ascii:
		l.ascii = true
		l.why = append(l.why, "characters: ASCII, because it was requested")
	case !isUTF8(locale):
		l.ascii = true
		l.why = append(l.why, fmt.Sprintf("characters: ASCII, because %s is not a UTF-8 locale", from))
	case getenv("TERM") == "linux":
		l.ascii = true
		l.why = append(l.why, "characters: ASCII, because the font of TERM=linux lacks the others")
	default:
		l.why = append(l.why, fmt.Sprintf("characters: Unicode, because of %s; --ascii uses those that every font has", from))
	}

	l.lang, why = lang, "it was requested"
	if lang == "" {
		l.lang, why = locale, "of "+from
		if messages := getenv("LC_MESSAGES"); messages != "" && getenv("LC_ALL") == "" {
			l.lang, why = messages, "of LC_MESSAGES="+messages
		}
	}
	if l.lang == "" {
		l.lang = "en"
	}
	l.why = append(l.why, fmt.Sprintf("language: %s, because %s", l.lang, why))
	return l
}

func depthWord(d ColorDepth) string {
	return [...]string{"none", "16", "256", "true colour"}[d]
}

// colorDepth decides on colours; the first rule that applies wins.
func colorDepth(getenv func(string) string, color string) (ColorDepth, string) {
	for i, name := range colorNames {
		if color == name {
			return ColorDepth(i), "it was requested (" + name + ")"
		}
	}
	term, colorterm, program := getenv("TERM"), strings.ToLower(getenv("COLORTERM")), getenv("TERM_PROGRAM")
	multiplexed := strings.HasPrefix(term, "screen") || strings.HasPrefix(term, "tmux")
	switch {
	case getenv("NO_COLOR") != "":
		return NoColor, "NO_COLOR is set; --color 256 turns them on anyway"
	case term == "":
		return NoColor, "TERM is not set"
	case term == "dumb":
		return NoColor, "TERM=dumb"
	case colorterm == "truecolor" || colorterm == "24bit":
		// screen passes COLORTERM of the outer terminal on, but does not support it; tmux does.
		if strings.HasPrefix(term, "screen") && program != "tmux" && getenv("TMUX") == "" {
			return Colors256, "COLORTERM=" + colorterm + " belongs to the terminal around TERM=" + term + ", which has 256"
		}
		return TrueColor, "COLORTERM=" + colorterm
	case strings.HasSuffix(term, "-direct"):
		return TrueColor, "TERM=" + term
	case strings.Contains(term, "kitty"), strings.Contains(term, "ghostty"), strings.HasPrefix(term, "alacritty"), strings.HasPrefix(term, "wezterm"),
		strings.HasPrefix(term, "foot"), strings.HasPrefix(term, "contour"):
		return TrueColor, "TERM=" + term + " is known to have it"
	case !multiplexed && getenv("WT_SESSION") != "":
		return TrueColor, "WT_SESSION is set: Windows Terminal"
	case !multiplexed && (program == "iTerm.app" || program == "vscode" || program == "WezTerm" || program == "ghostty"):
		return TrueColor, "TERM_PROGRAM=" + program
	case strings.Contains(term, "256color"):
		why := "TERM=" + term
		if multiplexed {
			why += "; COLORTERM=truecolor says that the outer terminal has more"
		}
		return Colors256, why
	}
	return Colors16, "TERM=" + term + " guarantees no more; --color 256 or true overrides it"
}

// locale is the value that determines the characters, and its variable.
func locale(getenv func(string) string) (value, from string) {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(name); v != "" {
			return v, name + "=" + v
		}
	}
	return "", "an unset LANG"
}

func isUTF8(locale string) bool {
	return strings.Contains(strings.ToUpper(strings.ReplaceAll(locale, "-", "")), "UTF8")
}
