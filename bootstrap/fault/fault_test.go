package fault

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"testing"
)

// TestEveryKindHasItsOwnExitCode reads the constants from the source, so that a new kind cannot be forgotten.
func TestEveryKindHasItsOwnExitCode(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds, owner := 0, map[int]Kind{}
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || fmt.Sprint(v.Type) != "Kind" {
			return true
		}
		text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		kinds++
		code, ok := codes[Kind(text)]
		if !ok || code == 0 {
			t.Errorf("kind %s has no exit code", text)
		}
		if other, taken := owner[code]; taken {
			t.Errorf("%s and %s share exit code %d", text, other, code)
		}
		owner[code] = Kind(text)
		return true
	})
	if kinds == 0 || kinds != len(codes) {
		t.Errorf("%d kinds in the source, %d exit codes", kinds, len(codes))
	}
}

func TestExitCodeAndKindOfWrappedErrors(t *testing.T) {
	plain := errors.New("boom")
	inner := New(EngineDown, "ask Docker", context.DeadlineExceeded)
	for _, c := range []struct {
		err  error
		kind Kind
		code int
	}{
		{nil, Internal, 0},
		{plain, Internal, 1},
		{Newf(Usage, "bad flag"), Usage, 2},
		{fmt.Errorf("start: %w", inner), EngineDown, 20},
		{errors.Join(plain, inner), EngineDown, 20},
		{New(Node, "create node", inner), Node, 34},
		{Newf("Unheard", "x"), "Unheard", 1},
	} {
		if KindOf(c.err) != c.kind || ExitCode(c.err) != c.code {
			t.Errorf("%v: kind %s, code %d; want %s, %d", c.err, KindOf(c.err), ExitCode(c.err), c.kind, c.code)
		}
	}
	if !errors.Is(inner, context.DeadlineExceeded) {
		t.Error("the cause of a fault is not found")
	}
}

func TestProblemRoundTrip(t *testing.T) {
	f := New(Node, "start node dev-1", errors.New("exit status 1")).Advise("type this").WithEvidence("a", "b")
	p := Problem(fmt.Errorf("start: %w", f))
	if p.Kind != "NodeFailed" || p.Summary != "start node dev-1" || p.Cause != "exit status 1" || p.HintText() != "type this" ||
		!reflect.DeepEqual(p.Evidence, []string{"a", "b"}) {
		t.Errorf("got %+v", p)
	}
	back := FromProblem(p)
	if got := Problem(back); !reflect.DeepEqual(got, p) {
		t.Errorf("got  %+v\nwant %+v", got, p)
	}
	if got := Problem(FromProblem(Problem(errors.New("boom")))); got.Summary != "boom" || got.Kind != "Internal" || got.Cause != "" {
		t.Errorf("plain error: %+v", got)
	}
}

func TestErrorText(t *testing.T) {
	for want, f := range map[string]*Fault{
		"Usage": {Kind: Usage}, "cause": Newf(Usage, "cause"), "op": {Kind: Usage, Op: "op"}, "op: cause": New(Usage, "op", errors.New("cause")),
	} {
		if f.Error() != want {
			t.Errorf("got %q, want %q", f.Error(), want)
		}
	}
}
