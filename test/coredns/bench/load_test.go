package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const output = `DNS Performance Testing Tool
Version 2.10.0

[Status] Command line: dnsperf -s 127.0.0.1
> NOERROR service-1.team-0.svc.cluster.local. A 0.000134
> NOERROR service-2.team-0.svc.cluster.local. A 0.000059
> T service-3.team-0.svc.cluster.local. A
[Timeout] Query timed out: msg id 3

Statistics:

  Queries sent:         3
  Queries completed:    2 (66.67%)
  Queries lost:         1 (33.33%)

  Response codes:       NOERROR 2 (100.00%)
  Average packet size:  request 54, response 126
  Run time (s):         1.000171
  Queries per second:   1.999658

  Average Latency (s):  0.000406 (min 0.000028, max 0.008847)
`

func TestParse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(output)
	r, err := parse(path, "NOERROR")
	if err != nil {
		t.Fatal(err)
	}
	if r.sent != 3 || r.completed != 2 || r.qps != 1.999658 || !slices.Equal(r.took, []float64{0.000059, 0.000134}) {
		t.Errorf("parse = %+v", r)
	}
	for name, text := range map[string]string{
		"another rcode":  strings.Replace(output, "NOERROR 2 (100.00%)", "NOERROR 1 (50.00%), SERVFAIL 1 (50.00%)", 1),
		"no replies":     strings.Replace(output, "completed:    2", "completed:    0", 1),
		"not of dnsperf": "dnsperf: unable to connect\n",
	} {
		write(text)
		if r, err := parse(path, "NOERROR"); err == nil {
			t.Errorf("%s: parse = %+v, want an error", name, r)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   string
	}{
		{nil, "–"},
		{[]float64{1234567.4}, "1,234,567"},
		{[]float64{3, 1, 2}, "2 (1–3)"},
		{[]float64{4000, 1, 2, 3}, "2.5 (1–4,000)"},
		{[]float64{99.95}, "100"},
	} {
		if got := spread(c.values); got != c.want {
			t.Errorf("spread(%v) = %q, want %q", c.values, got, c.want)
		}
	}
}
