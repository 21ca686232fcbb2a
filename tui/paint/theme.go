// Package paint makes lines for a terminal out of text and roles.
//
// Nothing else in the UI knows colours or escape codes: it says what a piece of text means (a Role) and a Theme says
// how that looks, down to terminals without colour. Every state has a glyph as well, so that colour is never the
// only sign of it. Codes are compiled once per theme; drawing a cell allocates nothing but its text.
//
// Start reading at Theme, then Line. Text that comes out of a cluster goes through Clean first.
package paint

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
)

// Role is what a piece of text means.
type Role uint8

// The roles.
const (
	Plain  Role = iota
	Dim         // of little weight: units, rules, hints
	Strong      // names, numbers that matter
	Title       // headings and the current tab
	Key         // a key to press
	OK
	Busy
	Warn
	Fail
	Off      // ended, disabled, unknown
	Accent   // where something leads to: addresses, links
	Selected // the row under the cursor
	Match    // what a search found
	Changed  // a value that has just changed
	// Hue1 to Hue6 tell things apart that have no state of their own: the pods of a log.
	Hue1
	Hue2
	Hue3
	Hue4
	Hue5
	Hue6
	roles
)

// Hue is one of the hues; after the last one comes the first again.
func Hue(n int) Role { return Hue1 + Role(n%hues) }

const hues = 6

// Depth is how many colours a terminal has.
type Depth int

// The depths.
const (
	Mono Depth = iota
	Colors16
	Colors256
	TrueColor
)

func (d Depth) profile() termenv.Profile {
	return [...]termenv.Profile{termenv.Ascii, termenv.ANSI, termenv.ANSI256, termenv.TrueColor}[d]
}

// Theme is how roles look. It is immutable.
type Theme struct {
	Name  string
	Depth Depth
	// Glyphs are its signs.
	Glyphs Glyphs
	// Calm says that nothing moves or flashes.
	Calm bool

	on [roles]string
}

// off ends what a role began.
const off = "\x1b[0m"

// palette is the colours of one theme; an empty one is the terminal's own. Colours are "#rrggbb", which a terminal of
// less depth gets rounded, or the number of one of its own sixteen.
type palette struct {
	ok, busy, warn, fail, off, accent, title, key string
	// bold makes states bold, for more contrast.
	bold bool
	// hues look like no state.
	hues [hues]string
}

// The default uses the terminal's own sixteen colours, which the user has chosen to be readable. No theme puts red
// against green: the states of dark and light are of Okabe and Ito's palette for the colour-blind.
var palettes = map[string]palette{
	"auto":          {ok: "6", busy: "4", warn: "3", fail: "1", accent: "4", title: "", key: "6", hues: [hues]string{"4", "5", "6", "12", "13", "14"}},
	"dark":          {ok: "#2BB6A0", busy: "#56B4E9", warn: "#F0C543", fail: "#F0704A", off: "#8A8F98", accent: "#7FB4FF", title: "#E6E6E6", key: "#56C7B4", hues: [hues]string{"#7FB4FF", "#C9A0FF", "#56C7B4", "#F2A6D0", "#A5D8F7", "#B8B8E8"}},
	"light":         {ok: "#00705A", busy: "#0060A8", warn: "#8A5A00", fail: "#B03A00", off: "#6A6F78", accent: "#0055AA", title: "#101010", key: "#00605A", hues: [hues]string{"#0055AA", "#6A3FB5", "#00605A", "#A0287A", "#2F6F9F", "#55557A"}},
	"high-contrast": {ok: "#00FFD0", busy: "#7FC8FF", warn: "#FFE94A", fail: "#FF8A5C", off: "#C8C8C8", accent: "#9AD0FF", title: "#FFFFFF", key: "#FFFFFF", bold: true, hues: [hues]string{"#9AD0FF", "#D9B8FF", "#7FFFE6", "#FFB8E6", "#D0ECFF", "#D8D8FF"}},
	"colour-blind":  {ok: "#56B4E9", busy: "#CC79A7", warn: "#F0E442", fail: "#E69F00", off: "#999999", accent: "#56B4E9", title: "", key: "#56B4E9", hues: [hues]string{"#56B4E9", "#CC79A7", "#8FB8DE", "#E0A8C8", "#A8A8FF", "#D0D0D0"}},
	"mono":          {},
}

// Names lists the themes, the default first.
func Names() []string {
	return []string{"auto", "dark", "light", "high-contrast", "colour-blind", "mono"}
}

// NewTheme compiles a theme for a terminal. ascii takes signs that every font has.
func NewTheme(name string, depth Depth, ascii, calm bool) (*Theme, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("unknown theme %q; choose one of %s", name, strings.Join(Names(), ", "))
	}
	p := palettes[name]
	t := &Theme{Name: name, Depth: depth, Glyphs: unicodeGlyphs, Calm: calm}
	if ascii {
		t.Glyphs = asciiGlyphs
	}
	if name == "mono" {
		t.Depth = Mono
	}
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(t.Depth.profile())
	// Attributes are not colours: a terminal without colours still has them, which the library's Ascii profile denies.
	attributes := lipgloss.NewRenderer(io.Discard)
	attributes.SetColorProfile(termenv.ANSI)
	style := func(color string) lipgloss.Style {
		if color == "" || t.Depth == Mono {
			return attributes.NewStyle()
		}
		return r.NewStyle().Foreground(lipgloss.Color(color)).Bold(p.bold)
	}
	dim := style(p.off)
	if p.off == "" {
		dim = dim.Faint(true)
	}
	for role, s := range map[Role]lipgloss.Style{
		Dim: dim, Off: dim, Strong: attributes.NewStyle().Bold(true), Title: style(p.title).Bold(true), Key: style(p.key).Bold(true),
		OK: style(p.ok), Busy: style(p.busy), Warn: style(p.warn), Fail: style(p.fail).Bold(true), Accent: style(p.accent),
		Selected: attributes.NewStyle().Reverse(true), Match: attributes.NewStyle().Reverse(true).Bold(true), Changed: attributes.NewStyle().Bold(true),
	} {
		t.on[role], _, _ = strings.Cut(s.Render("x"), "x")
	}
	for n, color := range p.hues {
		t.on[Hue(n)], _, _ = strings.Cut(style(color).Render("x"), "x")
	}
	return t, nil
}

// Paint returns text in the look of a role. The text must be clean and of one line.
func (t *Theme) Paint(r Role, text string) string {
	if t.on[r] == "" || text == "" {
		return text
	}
	return t.on[r] + text + off
}

// Glyphs are the signs of a theme, each one cell wide.
type Glyphs struct {
	OK, Warn, Fail, Ending, Off  string
	Cursor, Mark                 string
	Spinner                      []string
	Spark                        []string // from empty to full
	Full, Half, Empty, Estimate  string   // of bars
	Rule, Tree, TreeLast, TreeUp string
	Left, Right, Up, Down        string    // arrows
	More                         string    // where text was cut
	Edge                         [2]string // left and right of a bar that is mostly empty
}

// The braille spinner and most signs are narrow in every locale; bars and arrows are of ambiguous width, which some
// terminals for East Asian languages draw wide: --ascii is for them.
var unicodeGlyphs = Glyphs{
	OK: "✓", Warn: "⚠", Fail: "✗", Ending: "◌", Off: "–", Cursor: "▸", Mark: "●",
	Spinner: []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"},
	Spark:   []string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
	Full:    "█", Half: "▌", Empty: "░", Estimate: "▒", Rule: "─", Tree: "├", TreeLast: "└", TreeUp: "│",
	Left: "←", Right: "→", Up: "↑", Down: "↓", More: "…", Edge: [2]string{"▕", "▏"},
}

var asciiGlyphs = Glyphs{
	OK: "+", Warn: "!", Fail: "x", Ending: "o", Off: "-", Cursor: ">", Mark: "=",
	Spinner: []string{"*"}, Spark: []string{".", ".", ":", ":", "-", "=", "#", "#"},
	Full: "#", Half: "=", Empty: ".", Estimate: ":", Rule: "-", Tree: "|", TreeLast: "`", TreeUp: "|",
	Left: "<", Right: ">", Up: "^", Down: "v", More: "~", Edge: [2]string{"|", "|"},
}

// State is how something does; it has a glyph and a role.
type State uint8

// The states.
const (
	StateNone State = iota // says nothing
	StateOK
	StateBusy
	StateWarn
	StateFail
	StateEnding
	StateOff
)

// Glyph returns the sign of a state; tick moves the sign of busy ones.
func (t *Theme) Glyph(s State, tick int) string {
	g := &t.Glyphs
	switch s {
	case StateOK:
		return g.OK
	case StateBusy:
		if t.Calm {
			return g.Spinner[2%len(g.Spinner)]
		}
		return g.Spinner[tick%len(g.Spinner)]
	case StateWarn:
		return g.Warn
	case StateFail:
		return g.Fail
	case StateEnding:
		return g.Ending
	case StateOff:
		return g.Off
	}
	return " "
}

// Role is the role that goes with a state.
func (s State) Role() Role {
	return [...]Role{Plain, OK, Busy, Warn, Fail, Off, Off}[s]
}
