package model

import (
	"slices"
	"testing"
)

func TestSeries(t *testing.T) {
	var s Series
	count := func(n int) {
		for range n {
			s.add(float64(s.total))
		}
	}
	if got := (*Series)(nil).Shape(8); got != nil {
		t.Errorf("no series has the shape %v", got)
	}
	count(4)
	if got := s.Shape(8); !slices.Equal(got, []float64{0, 1, 2, 3}) {
		t.Errorf("a short series has the shape %v", got)
	}
	if got := s.Lately(2); got != 2.5 {
		t.Errorf("lately it was %v", got)
	}
	count(16) // twenty: three in one for eight values
	if got := s.Shape(8); !slices.Equal(got, []float64{2, 7, 12, 17}) {
		t.Errorf("a longer series has the shape %v", got)
	}
	// What belonged together stays together while new values come, also when old ones fall out.
	count(historyLength)
	before := s.Shape(30)
	s.add(0)
	after := s.Shape(30)
	if n := len(before); n != 30 || !slices.Equal(before[1:], after[1:n]) {
		t.Errorf("the shape trembles:\n%v\n%v", before, after)
	}
}

func TestSumOfSeries(t *testing.T) {
	a, b := &Series{[]float64{1, 2, 3}, 3}, &Series{[]float64{10, 20}, 2}
	for _, got := range []*Series{a.Plus(b), b.Plus(a)} {
		if !slices.Equal(got.values, []float64{1, 12, 23}) || got.total != 3 {
			t.Errorf("the sum is %v", got)
		}
	}
	if a.values[1] != 2 || (*Series)(nil).Plus(a) != a {
		t.Error("the terms have changed")
	}
}
