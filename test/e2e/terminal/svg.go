package terminal

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

const (
	cellWidth, cellHeight = 8.4, 17.0
	margin                = 14.0
	foreground            = "#d7dae0"
	backdrop              = "#15181e"
)

// The sixteen colours of the image; a terminal's own depend on its user.
var colors16 = []string{
	"#1d2127", "#f0704a", "#2bb6a0", "#f0c543", "#56b4e9", "#cc79a7", "#4fc1b0", "#d7dae0",
	"#7d8590", "#ff8a5c", "#56d4be", "#ffe07a", "#8fd0ff", "#e5a5cb", "#7fe0d0", "#ffffff",
}

// look is how a piece of text is drawn.
type look struct {
	front, back                     string
	bold, faint, underline, reverse bool
}

type run struct {
	look
	column, width int
	text          string
}

// SVG draws screens of the same size one after the other, repeating forever, or a single one as a still image. Text is
// text: it can be searched and is sharp at any size.
func SVG(shots []Shot, columns, rows int) string {
	width, height := float64(columns)*cellWidth+2*margin, float64(rows)*cellHeight+2*margin
	var total time.Duration
	for _, s := range shots {
		total += s.For
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f">`+"\n", width, height, width, height)
	b.WriteString("<style>\ntext{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:14px;white-space:pre}\n")
	if len(shots) > 1 {
		var begin time.Duration
		for i, s := range shots {
			from, to := 100*float64(begin)/float64(total), 100*float64(begin+s.For)/float64(total)
			fmt.Fprintf(&b, "@keyframes f%d{0%%{visibility:hidden}%.3f%%{visibility:visible}%.3f%%{visibility:hidden}100%%{visibility:hidden}}\n", i, from, to)
			fmt.Fprintf(&b, ".f%d{visibility:hidden;animation:f%d %.1fs step-end infinite}\n", i, i, total.Seconds())
			begin += s.For
		}
	}
	b.WriteString("</style>\n")
	fmt.Fprintf(&b, `<rect width="%.0f" height="%.0f" rx="8" fill="%s"/>`+"\n", width, height, backdrop)
	for i, s := range shots {
		class := ""
		if len(shots) > 1 {
			class = fmt.Sprintf(` class="f%d"`, i)
		}
		fmt.Fprintf(&b, "<g%s>\n", class)
		for row, line := range strings.Split(strings.TrimRight(s.Screen, "\n"), "\n") {
			for _, r := range runs(line) {
				r.draw(&b, row)
			}
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (r run) draw(b *strings.Builder, row int) {
	front, back := r.front, r.back
	if front == "" {
		front = foreground
	}
	if r.reverse {
		front, back = back, front
		if front == "" {
			front = backdrop
		}
	}
	x, y := margin+float64(r.column)*cellWidth, margin+float64(row)*cellHeight
	if back != "" {
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, x, y, float64(r.width)*cellWidth, cellHeight, back)
	}
	// Viewers treat spaces differently: those at the ends are removed, those inside cannot be broken.
	text := strings.TrimLeft(r.text, " ")
	before := len(r.text) - len(text)
	text = strings.TrimRight(text, " ")
	if text == "" {
		return
	}
	x += float64(before) * cellWidth
	wide := float64(ansi.StringWidth(text)) * cellWidth
	text = strings.ReplaceAll(text, " ", "\u00a0")
	extra := ""
	if r.bold {
		extra += ` font-weight="bold"`
	}
	if r.faint {
		extra += ` opacity="0.6"`
	}
	if r.underline {
		extra += ` text-decoration="underline"`
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" textLength="%.1f" fill="%s"%s>%s</text>`+"\n", x, y+13, wide, front, extra, html.EscapeString(text))
}

// runs splits a line with SGR codes.
func runs(line string) (list []run) {
	var now look
	column := 0
	for line != "" {
		if rest, ok := strings.CutPrefix(line, "\x1b["); ok {
			end := strings.IndexFunc(rest, func(r rune) bool { return r >= 0x40 && r <= 0x7e })
			if end < 0 {
				break
			}
			if rest[end] == 'm' {
				now.change(rest[:end])
			}
			line = rest[end+1:]
			continue
		}
		if line[0] == 0x1b || line[0] == 0x0e || line[0] == 0x0f { // charset switches
			line = line[1:]
			if strings.HasPrefix(line, "(") && len(line) > 1 {
				line = line[2:]
			}
			continue
		}
		end := strings.IndexAny(line, "\x1b\x0e\x0f")
		if end < 0 {
			end = len(line)
		}
		text := line[:end]
		width := ansi.StringWidth(text)
		list = append(list, run{now, column, width, text})
		column += width
		line = line[end:]
	}
	return list
}

// change reads the parameters of an SGR code.
func (l *look) change(parameters string) {
	fields := strings.FieldsFunc(parameters, func(r rune) bool { return r == ';' || r == ':' })
	if len(fields) == 0 {
		fields = []string{"0"}
	}
	var n []int
	for _, f := range fields {
		v, _ := strconv.Atoi(f)
		n = append(n, v)
	}
	for i := 0; i < len(n); i++ {
		switch v := n[i]; {
		case v == 0:
			*l = look{}
		case v == 1:
			l.bold = true
		case v == 2:
			l.faint = true
		case v == 4:
			l.underline = true
		case v == 7:
			l.reverse = true
		case v == 22:
			l.bold, l.faint = false, false
		case v == 24:
			l.underline = false
		case v == 27:
			l.reverse = false
		case v >= 30 && v <= 37:
			l.front = colors16[v-30]
		case v >= 90 && v <= 97:
			l.front = colors16[v-90+8]
		case v >= 40 && v <= 47:
			l.back = colors16[v-40]
		case v == 39:
			l.front = ""
		case v == 49:
			l.back = ""
		case v == 38 || v == 48:
			color, used := extended(n[i+1:])
			i += used
			if v == 38 {
				l.front = color
			} else {
				l.back = color
			}
		}
	}
}

// extended reads "2;r;g;b" or "5;n".
func extended(n []int) (color string, used int) {
	switch {
	case len(n) >= 4 && n[0] == 2:
		return fmt.Sprintf("#%02x%02x%02x", n[1]&255, n[2]&255, n[3]&255), 4
	case len(n) >= 2 && n[0] == 5 && n[1] < 16:
		return colors16[n[1]&15], 2
	case len(n) >= 2 && n[0] == 5 && n[1] >= 232:
		g := 8 + 10*(n[1]-232)
		return fmt.Sprintf("#%02x%02x%02x", g, g, g), 2
	case len(n) >= 2 && n[0] == 5:
		step := func(v int) int {
			if v == 0 {
				return 0
			}
			return 55 + 40*v
		}
		c := n[1] - 16
		return fmt.Sprintf("#%02x%02x%02x", step(c/36), step(c/6%6), step(c%6)), 2
	}
	return "", len(n)
}
