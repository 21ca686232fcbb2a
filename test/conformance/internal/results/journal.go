// Package results keeps what came of each test, also of runs that were interrupted, and reports it.
package results

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// State is what came of a test.
type State string

// A test that was interrupted has no state: it is run again.
const (
	Passed  State = "passed"
	Failed  State = "failed"
	Skipped State = "skipped"
)

// Outcome is the result of one test.
type Outcome struct {
	Name    string
	State   State
	Seconds float64 `json:",omitempty"`
	// Why says why it failed or was skipped, where that is known.
	Why string `json:",omitempty"`
}

// Journal is a file with an outcome a line, written as soon as each test ends: it survives what ginkgo's own reports,
// which are written at the end, do not. The last line about a test counts.
type Journal struct {
	file *os.File
	done map[string]Outcome
}

// OpenJournal opens or creates a journal. The caller closes it.
func OpenJournal(path string) (*Journal, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	j := &Journal{done: map[string]Outcome{}}
	// A last line without its end is what a machine that lost its power leaves: that test has no result.
	whole := bytes.LastIndexByte(data, '\n') + 1
	for line := range bytes.Lines(data[:whole]) {
		var o Outcome
		if err := json.Unmarshal(line, &o); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		j.done[o.Name] = o
	}
	if j.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return nil, err
	}
	if err = j.file.Truncate(int64(whole)); err == nil {
		_, err = j.file.Seek(int64(whole), 0)
	}
	if err != nil {
		return nil, errors.Join(err, j.file.Close())
	}
	return j, nil
}

// Add records an outcome.
func (j *Journal) Add(o Outcome) error {
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	j.done[o.Name] = o
	return nil
}

// Outcome returns what came of a test.
func (j *Journal) Outcome(name string) (Outcome, bool) {
	o, ok := j.done[name]
	return o, ok
}

// Has reports whether the test has a result.
func (j *Journal) Has(name string) bool {
	_, ok := j.done[name]
	return ok
}

// Close ends the writing.
func (j *Journal) Close() error { return j.file.Close() }
