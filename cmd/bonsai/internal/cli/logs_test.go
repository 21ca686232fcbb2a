package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestPrefixedLogsDoNotMix(t *testing.T) {
	var out bytes.Buffer
	a := &app{Env: Env{Stdout: &out}}
	var sources []logSource
	for i := range 5 {
		name := fmt.Sprint("s", i)
		sources = append(sources, logSource{name, func(_ context.Context, w io.Writer) error {
			for range 100 {
				for _, piece := range []string{"be", "gin of ", name, "\nand"} {
					if _, err := io.WriteString(w, piece); err != nil {
						return err
					}
				}
			}
			return nil
		}})
	}
	if err := a.showLogs(t.Context(), sources, true); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 505 { // each source leaves one unfinished line
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if name, text, _ := strings.Cut(line, " | "); text != "begin of "+name && text != "andbegin of "+name && text != "and" {
			t.Fatalf("mixed: %q", line)
		}
	}
}
