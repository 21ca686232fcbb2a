package textview

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

func TestJSONLinesAreReadable(t *testing.T) {
	for line, want := range map[string]string{
		`{"level":"warn","msg":"upstream gone","peer":"cart","ts":1773489869}`:      "WARN  upstream gone  peer=cart",
		`{"time":"2026-03-14T12:04:29Z","severity":"ERROR","message":"no","n":1.5}`: "ERROR no  n=1.5",
		`{"level":30,"msg":"pino","a":{"b":[1,"x y"]},"e":"","s":"a b","ok":true}`:  `INFO  pino  a={"b":[1,"x y"]} e="" s="a b" ok=true`,
		`  {"msg":"esc \u001b[31m\n\"q\"","k=ey":null}  `:                           "esc  \"q\"  \"k=ey\"=null",
		`{"level":"odd","msg":"m"}`:                                                 "m  level=odd",
		`{"msg":"twice","msg":"again"}`:                                             "twice  msg=again",
		`{"level":"info"}`:                                                          "INFO  ",
		`{"msg":""}`:                                                                "",
	} {
		r, ok := readJSON(line)
		if !ok || r.text != want {
			t.Errorf("%s is %q (%v), not %q", line, r.text, ok, want)
		}
	}
	for _, line := range []string{"", "{", "{}", "[1]", `"x"`, `{"a":1}`, `{"msg":"x"`, `{"msg":"x"} trailing`, "plain", `{"msg":["not text"]}`} {
		if r, ok := readJSON(line); ok {
			t.Errorf("%s became %q", line, r.text)
		}
	}
}

func TestTimesOfJSON(t *testing.T) {
	want := time.Date(2026, 3, 14, 12, 4, 29, 0, time.UTC)
	for _, value := range []string{`"2026-03-14T12:04:29Z"`, `"2026-03-14 12:04:29"`, "1773489869", "1773489869.0", "1773489869000", "1773489869000000000"} {
		if got, ok := timeOf(value); !ok || !got.Equal(want) {
			t.Errorf("%s is %v (%v)", value, got, ok)
		}
	}
	for _, value := range []string{"12", `"noon"`, "true", "null", "{}"} {
		if got, ok := timeOf(value); ok {
			t.Errorf("%s is %v", value, got)
		}
	}
}

// FuzzJSON: reading any line ends, and what comes out is harmless and one line.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"level":"warn","msg":"x","a":{"b":[1,2,{"c":"d"}]},"n":null}`, `{"msg":"\u001b]0;x\u0007\u202e","":"","a b":"c=d"}`, `{`, `{"":0,"msg":"\\"}`,
		`{"msg":"a","x":"\"","y":[{"z":"]}"}]}`, strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50), `{"msg" : "x" , "n" : -1e5 }`, "{\"msg\":\"\xff\"}",
		"{\"msg\":\"a\u200b\",\"n\":{\"b\":\"\u202e\", \t\"c\":\"\ufe0f\"}}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l := NewLine(time.Time{}, kube.LogSource{}, s, false)
		for _, raw := range []bool{true, false} {
			text, width := l.shown(raw)
			if paint.CleanLog(text) != text {
				t.Errorf("%q shows as %q, which is not clean", s, text)
			}
			if width != paint.Width(text) {
				t.Errorf("the width of %q is %d, not %d", text, paint.Width(text), width)
			}
			last := 0
			for _, span := range l.spans(raw, text) {
				if span.From < last || span.To < span.From || span.To > len(text) {
					t.Fatalf("spans of %q: %v", text, l.spans(raw, text))
				}
				last = span.To
			}
		}
		// No field is lost: as many values as the object has.
		if r, ok := readJSON(s); ok {
			n := 0
			members(strings.TrimSpace(s), func(_, value string) {
				n++
				if !json.Valid([]byte(value)) {
					t.Errorf("a value of %q is %q", l.Text, value)
				}
			})
			if n == 0 || r.fields > len(r.text) {
				t.Errorf("%q has %d fields, %+v", l.Text, n, r)
			}
		}
	})
}
