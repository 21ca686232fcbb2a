package terminal

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRuns(t *testing.T) {
	for line, want := range map[string][]run{
		"plain":                          {{look{}, 0, 5, "plain"}},
		"a\x1b[1;31mb\x1b[0mc":           {{look{}, 0, 1, "a"}, {look{front: colors16[1], bold: true}, 1, 1, "b"}, {look{}, 2, 1, "c"}},
		"\x1b[38;2;1;2;3mx\x1b[7my":      {{look{front: "#010203"}, 0, 1, "x"}, {look{front: "#010203", reverse: true}, 1, 1, "y"}},
		"\x1b[38;5;196mx":                {{look{front: "#ff0000"}, 0, 1, "x"}},
		"漢\x1b[48;5;240m字":               {{look{}, 0, 2, "漢"}, {look{back: "#585858"}, 2, 2, "字"}},
		"\x1b[2mfaint\x1b[22m\x1b(Bnot ": {{look{faint: true}, 0, 5, "faint"}, {look{}, 5, 4, "not "}},
		"\x1b[":                          nil,
	} {
		if got := runs(line); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", line, got, want)
		}
	}
}

func TestSVG(t *testing.T) {
	shots := []Shot{{"one <&\n", time.Second}, {"\x1b[7mtwo\x1b[0m\n", 3 * time.Second}}
	svg := SVG(shots, 10, 2)
	for _, want := range []string{"one\u00a0&lt;&amp;", "two", "@keyframes f1{0%{visibility:hidden}25.000%", "4.0s step-end infinite"} {
		if !strings.Contains(svg, want) {
			t.Errorf("%q is not in\n%s", want, svg)
		}
	}
	if still := SVG(shots[:1], 10, 2); strings.Contains(still, "keyframes") {
		t.Error("a single picture moves")
	}
}
