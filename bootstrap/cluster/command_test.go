package cluster

import (
	"encoding/json"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCommandIsWrittenForItsReader(t *testing.T) {
	hostile := "w`{touch,/tmp/x}`"
	for _, test := range []struct {
		command Command
		want    string
	}{
		{Bonsai("start").With("--nodes", "4"), "bonsai start --nodes 4"},
		{Bonsai("start").With("--nodes", "4").For("dev"), "bonsai start -p dev --nodes 4"},
		{Bonsai("start").For(DefaultName), "bonsai start"},
		{Bonsai("start").Of("NAME").Fill("NAME").For("dev"), "bonsai start -p NAME"},
		{Bonsai("image", "load", "--help").OfNone().For("dev"), "bonsai image load --help"},
		{Bonsai("image", "load").On("web:1").For("dev"), "bonsai image load web:1 -p dev"},
		{Bonsai("image", "load").On("--all").For("dev"), "bonsai image load -p dev -- --all"},
		{Bonsai("dns", "query").On(hostile).With("--from", "shop/web-1"), "bonsai dns query 'w`{touch,/tmp/x}`' --from shop/web-1"},
		{Kubectl("describe", "pod").On("web-1").In("shop").For("dev"), "bonsai kubectl -p dev -- describe pod web-1 -n shop"},
		{Kubectl("describe", "pod").On("-f").In("shop"), "bonsai kubectl -- describe pod -n shop -- -f"},
		{Bonsai("ssh").On("dev-1").Running(Program("ls", "-l").On("-rf")).For("dev"), "bonsai ssh dev-1 -p dev -- ls -l -- -rf"},
		{Program("ss", "-ltnp", "sport = :6443").For("dev"), "ss -ltnp 'sport = :6443'"},
	} {
		if got := test.command.String(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestAdviceInOneLine(t *testing.T) {
	restart := Advise("restart it", Bonsai("stop"), Bonsai("start"))
	german := func(string) string { return "neu starten" }
	for got, want := range map[string]string{
		restart.String():                    "restart it:  bonsai stop && bonsai start",
		restart.In(german):                  "neu starten:  bonsai stop && bonsai start",
		Advise("lower its request").Line():  "",
		Advise("wait").String():             "wait",
		Advise("", Bonsai("list")).String(): "bonsai list",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestProblemJSON: scripts read hint and fix as text, everybody else the values, which survive the way.
func TestProblemJSON(t *testing.T) {
	p := Problem{Kind: "ImageNotPulled", Severity: SeverityError, Summary: "s", Since: time.Unix(1000, 0).UTC(), Advice: []Advice{
		Advise("if this machine has it, load it", Bonsai("image", "load").On("a b").Cure()), Advise("or wait"),
	}}.For("dev")
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var text struct {
		Hint, Fix string
		Advice    []struct {
			Commands []struct{ Tool, Line string }
		}
	}
	if err := json.Unmarshal(data, &text); err != nil {
		t.Fatal(err)
	}
	if text.Hint != "if this machine has it, load it:  bonsai image load 'a b' -p dev\nor wait" || text.Fix != "image load 'a b'" ||
		text.Advice[0].Commands[0].Line != "bonsai image load 'a b' -p dev" {
		t.Errorf("got %+v", text)
	}
	var back Problem
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, p) {
		t.Errorf("got  %+v\nwant %+v (%v)", back, p, err)
	}
	// A daemon of a version before advice says text only.
	if err := json.Unmarshal([]byte(`{"kind":"x","summary":"s","hint":"one\ntwo"}`), &back); err != nil ||
		!reflect.DeepEqual(back.Advice, []Advice{{Text: "one"}, {Text: "two"}}) || back.HintText() != "one\ntwo" {
		t.Errorf("got %+v (%v)", back, err)
	}
}

func TestProblemForLeavesTheOriginalAlone(t *testing.T) {
	p := Problem{Advice: []Advice{Advise("", Bonsai("start").Cure())}}
	if q := p.For("dev"); q.HintText() != "bonsai start -p dev" || p.HintText() != "bonsai start" {
		t.Errorf("got %q and %q", q.HintText(), p.HintText())
	}
	if c, ok := p.Cure(); !ok || !slices.Equal(c.Arguments(), []string{"start"}) {
		t.Errorf("the cure is %v, %v", c, ok)
	}
	if _, ok := (Problem{Advice: []Advice{Advise("", Bonsai("start").Change())}}).Cure(); ok {
		t.Error("what may help is taken for what does")
	}
}

// FuzzCommandIsOneLineOfItsArguments lets a real shell judge the line: it is well-formed, starts nothing, and has exactly
// the arguments that it is to have.
func FuzzCommandIsOneLineOfItsArguments(f *testing.F) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"web:1", "w`{touch,/tmp/x}`", "{x,y};reboot|sh&", "-rf", "it's", "$HOME \\", "rtl\u202egnp", "\x1b[2J%s!", "-\x00\xff", "=ls", "~", "", "größe 漢\u3164\u2800"} {
		f.Add(s, "shop")
	}
	f.Fuzz(func(t *testing.T, operand, value string) {
		c := Bonsai("dns", "query").On(operand).With("--from", value).For("dev")
		line := c.String()
		for _, r := range line {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u202e' || r == '\u200b' {
				t.Fatalf("%q has a character that is not seen", line)
			}
		}
		check := exec.Command(shell, "-n")
		check.Stdin = strings.NewReader(line)
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%s\nis not well-formed: %s (%v)", line, out, err)
		}
		echo := exec.Command(shell)
		echo.Stdin = strings.NewReader(`bonsai() { printf '%s\0' "$@"; }` + "\n" + line)
		echo.Dir, echo.Env = t.TempDir(), []string{"PATH=/nowhere", "LC_ALL=C"}
		out, err := echo.Output()
		if err != nil {
			t.Fatalf("%s\n%v", line, err)
		}
		var want strings.Builder
		for _, a := range c.Argv()[1:] {
			want.WriteString(shellArgument(a) + "\x00")
		}
		if string(out) != want.String() {
			t.Fatalf("%s\nis read as %q,\nnot as     %q", line, out, want.String())
		}
	})
}

// shellArgument is what of a text can be an argument that is shown: no NUL, and no line breaks at the end.
func shellArgument(s string) string {
	return strings.TrimRight(strings.ReplaceAll(s, "\x00", ""), "\n")
}
