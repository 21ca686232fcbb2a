package learn

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/atomicfile"
	"bonsai/bootstrap/cluster"
)

// Progress is how far a learner is, in all clusters. It is kept in a file by Read and Write.
type Progress struct {
	Version int `json:"version"`
	// Lessons has those that were begun, by name; faults are among them.
	Lessons map[string]*Record `json:"lessons"`
	// Current is, for each cluster, the lesson and the fault that were started or continued last.
	Current map[string]Current `json:"current"`
	// Exam is the one that was begun last, nil if none was.
	Exam *Exam `json:"exam,omitempty"`
}

// Current is where a learner is in one cluster.
type Current struct {
	Lesson string `json:"lesson,omitempty"`
	Fault  string `json:"fault,omitempty"`
}

// Record is how far a learner is in one lesson.
type Record struct {
	// Cluster is where it was started.
	Cluster string `json:"cluster"`
	// Step counts the steps that are done, Hints the hints that were given for the next one.
	Step  int `json:"step"`
	Hints int `json:"hints"`
	// Shown counts the steps that were shown.
	Shown int `json:"shown"`
	// Looks is how often a fault was checked, AllHints how many hints were given in all.
	Looks    int       `json:"looks"`
	AllHints int       `json:"allHints"`
	Started  time.Time `json:"started"`
	// Finished is when all steps were done; zero until then.
	Finished time.Time `json:"finished,omitzero"`
	// Ever says that all steps were done once, also before a reset.
	Ever bool `json:"ever,omitempty"`
	// Points are those of the best attempt, of a fault.
	Points int `json:"points,omitempty"`
	// Diagnosis is what bonsai reported while the fault was there.
	Diagnosis []string `json:"diagnosis,omitempty"`
}

// Exam is a number of faults with a clock.
type Exam struct {
	Faults  []string      `json:"faults"`
	Cluster string        `json:"cluster"`
	Started time.Time     `json:"started"`
	Limit   time.Duration `json:"limit"`
	// At is how many are over, fixed or skipped; Points are those of each.
	At     int   `json:"at"`
	Points []int `json:"points"`
}

const version = 1

// ReadProgress reads a file; one that does not exist is that of somebody who begins.
func ReadProgress(path string) (*Progress, error) {
	p := &Progress{Version: version}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(data, p); err != nil {
			return nil, fmt.Errorf("%s is not readable: %w", path, err)
		}
		if p.Version != version {
			return nil, fmt.Errorf("%s has version %d, this bonsai knows %d", path, p.Version, version)
		}
	}
	if p.Lessons == nil {
		p.Lessons = map[string]*Record{}
	}
	if p.Current == nil {
		p.Current = map[string]Current{}
	}
	return p, nil
}

// Write replaces the file.
func (p *Progress) Write(path string) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(data, '\n'), 0o600, atomicfile.Options{})
}

// Begin records that a lesson is started again in a cluster.
func (p *Progress) Begin(l Lesson, cluster string, now time.Time) *Record {
	r := &Record{Cluster: cluster, Started: now}
	if before := p.Lessons[l.Name]; before != nil {
		r.Ever, r.Points = before.Ever || !before.Finished.IsZero(), before.Points
	}
	p.Lessons[l.Name] = r
	p.Turn(l, cluster)
	return r
}

// Turn makes a lesson the current one of a cluster.
func (p *Progress) Turn(l Lesson, cluster string) {
	c := p.Current[cluster]
	if l.Fault {
		c.Fault = l.Name
	} else {
		c.Lesson = l.Name
	}
	p.Current[cluster] = c
}

// Forget drops the progress of a lesson, but not that it was done once.
func (p *Progress) Forget(l Lesson) {
	r := p.Lessons[l.Name]
	if r == nil {
		return
	}
	for cluster, c := range p.Current {
		if c.Lesson == l.Name {
			c.Lesson = ""
		}
		if c.Fault == l.Name {
			c.Fault = ""
		}
		p.Current[cluster] = c
	}
	ever := r.Ever || !r.Finished.IsZero()
	if !ever {
		delete(p.Lessons, l.Name)
		return
	}
	p.Lessons[l.Name] = &Record{Ever: true, Points: r.Points}
}

// Active reports whether a lesson was begun in the cluster.
func (r *Record) Active(cluster string) bool {
	return r != nil && r.Cluster == cluster && !r.Started.IsZero()
}

// Done reports whether all steps were done, now or once.
func (r *Record) Done() bool { return r != nil && (r.Ever || !r.Finished.IsZero()) }

// Advance records that the current step is done.
func (r *Record) Advance(l Lesson, now time.Time) {
	r.Step++
	r.Hints = 0
	if r.Step < len(l.Steps) {
		return
	}
	r.Step, r.Finished, r.Ever = len(l.Steps), now, true
	if l.Fault {
		r.Points = max(r.Points, Points(r.AllHints, now.Sub(r.Started)))
	}
}

const (
	// MostPoints is what a fault is worth, hintCosts what each hint takes off, and each minute after freeMinutes takes off one
	// more; leastPoints remain.
	MostPoints, hintCosts, freeMinutes, leastPoints = 100, 20, 5, 10
)

// Points are those of a fault that was fixed with that many hints after that time.
func Points(hints int, took time.Duration) int {
	late := max(0, int(took/time.Minute)-freeMinutes)
	return max(leastPoints, MostPoints-hintCosts*hints-late)
}

// ExamFaults and ExamLimit are what an exam has.
const (
	ExamFaults = 10
	ExamLimit  = time.Hour
)

// Draw begins an exam: faults in random order, the easy ones first.
func (p *Progress) Draw(faults []Lesson, count int, cluster string, now time.Time, random *rand.Rand) *Exam {
	e := &Exam{Cluster: cluster, Started: now, Limit: ExamLimit * time.Duration(count) / ExamFaults}
	chosen := map[string]bool{}
	for _, i := range random.Perm(len(faults)) {
		if len(chosen) < count {
			chosen[faults[i].Name] = true
		}
	}
	for _, f := range faults { // in their order, which is by level
		if chosen[f.Name] {
			e.Faults = append(e.Faults, f.Name)
		}
	}
	p.Exam = e
	return e
}

// Running reports whether there is an exam that is not over.
func (e *Exam) Running(now time.Time) bool {
	return e != nil && e.At < len(e.Faults) && now.Before(e.Started.Add(e.Limit))
}

// Next records the points of the current fault, and goes on.
func (e *Exam) Next(points int) {
	e.Points = append(e.Points, points)
	e.At++
}

// Total is the sum of the points, and of how many.
func (e *Exam) Total() (points, of int) {
	for _, n := range e.Points {
		points += n
	}
	return points, MostPoints * len(e.Faults)
}

// Diagnosis is what bonsai reports about a namespace, and, if the fault is in nodes, about them.
func Diagnosis(problems []cluster.Problem, namespace string, nodes bool) []string {
	var lines []string
	for _, p := range problems {
		inside := strings.Contains(p.Object, "/"+namespace+"/") || slices.ContainsFunc(p.Pods, func(pod string) bool { return strings.HasPrefix(pod, namespace+"/") })
		if !inside && !(nodes && strings.HasPrefix(p.Object, "node/")) {
			continue
		}
		line := p.Kind + ": " + strings.ReplaceAll(p.Object, namespace+"/", "") + " " + p.Summary
		if p.Cause != "" {
			line += ": " + p.Cause
		}
		lines = append(lines, line)
	}
	return lines
}

// Remember keeps a diagnosis; the newest one of each kind of problem stays.
func (r *Record) Remember(lines []string) {
	for _, line := range lines {
		kind, _, _ := strings.Cut(line, ":")
		i := slices.IndexFunc(r.Diagnosis, func(before string) bool { return strings.HasPrefix(before, kind+":") })
		if i < 0 {
			r.Diagnosis = append(r.Diagnosis, line)
		} else {
			r.Diagnosis[i] = line
		}
	}
}
