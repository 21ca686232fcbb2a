package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// spread is the median of values, and their range if there are several.
func spread(values []float64) string {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return "–"
	}
	text := round(median(values))
	if len(sorted) > 1 {
		text += fmt.Sprintf(" (%s–%s)", round(sorted[0]), round(sorted[len(sorted)-1]))
	}
	return text
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// round writes three digits or all of the whole number, with commas between thousands.
func round(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.3g", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	var out strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(d)
	}
	return out.String()
}

func (b *bench) printLoad(mixes []*mix, results map[string]*figures) {
	fmt.Printf("| mix | server | queries/s | queries per CPU second | p50 µs at %d/s | p99 µs | queries per CPU second at %d/s | lost |\n", b.rate, b.rate)
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, m := range mixes {
		for _, s := range b.servers {
			f := results[m.name+s.name]
			fmt.Printf("| %s | %s | %s | %s | %s | %s | %s | %d of %d |\n", m.name, s.name, spread(f.qps), spread(f.perCPU),
				spread(f.p50), spread(f.p99), spread(f.fixedPerCPU), f.lost, f.offered)
		}
		base, ours := results[m.name+b.servers[0].name], results[m.name+b.servers[len(b.servers)-1].name]
		times := func(a, b []float64) string { return fmt.Sprintf("×%.2f", median(b)/median(a)) }
		fmt.Printf("| | %s to %s | %s | %s | %s | %s | %s | |\n", b.servers[len(b.servers)-1].name, b.servers[0].name, times(base.qps, ours.qps),
			times(base.perCPU, ours.perCPU), times(base.p50, ours.p50), times(base.p99, ours.p99), times(base.fixedPerCPU, ours.fixedPerCPU))
	}
	fmt.Println()
}

// sample is the memory of all servers at one moment, in the order of the servers.
type sample struct {
	when string
	rss  [][2]int64 // all of it, and what is not backed by files
}

func (b *bench) memory() [][2]int64 {
	var out [][2]int64
	for _, s := range b.servers {
		all, anonymous, err := s.rss()
		if err != nil {
			b.progress("%v", err)
		}
		out = append(out, [2]int64{all, anonymous})
	}
	return out
}

func (b *bench) printMemory(samples []sample) {
	fmt.Print("| RSS in MiB (not backed by files) |")
	for _, s := range b.servers {
		fmt.Printf(" %s |", s.name)
	}
	fmt.Printf("\n|---|%s\n", strings.Repeat("---|", len(b.servers)))
	for _, s := range samples {
		fmt.Printf("| %s |", s.when)
		for _, rss := range s.rss {
			fmt.Printf(" %.1f (%.1f) |", float64(rss[0])/(1<<20), float64(rss[1])/(1<<20))
		}
		fmt.Println()
	}
	fmt.Println()
}

func (b *bench) printUpdates(ctx context.Context) error {
	updates, err := b.timeUpdates(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("EndpointSlice write to changed answer, %d updates with %d services, in ms. Time runs from before the request is sent;\n", b.updates, max(b.services, b.many))
	fmt.Print("\"event\" is when a watch of the measuring process has it, \"answer\" when the server, asked all the time, gives the new address.\n\n")
	fmt.Println("| server | event p50 | answer p50 | answer p99 | answer after event p50 | p99 |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, s := range b.servers {
		var event, answer, between []float64
		for _, u := range updates[s.name] {
			event, answer = append(event, u.event.Seconds()*1e3), append(answer, u.answer.Seconds()*1e3)
			between = append(between, (u.answer-u.event).Seconds()*1e3)
		}
		at := func(values []float64, percent int) string {
			sorted := slices.Sorted(slices.Values(values))
			return fmt.Sprintf("%.2f", sorted[len(sorted)*percent/100])
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", s.name, at(event, 50), at(answer, 50), at(answer, 99), at(between, 50), at(between, 99))
	}
	return nil
}
