package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/statedir"
)

const (
	// operateTick is how often the output of an operation is read.
	operateTick = 50 * time.Millisecond
	// cleanUpLimit is how long an interrupted operation may take to clean up.
	cleanUpLimit = 2 * time.Minute
	// keptOutput is how many lines of an operation's output explain its failure, if nothing better does.
	keptOutput = 20
)

// Operate runs one verb of the command line on this cluster.
//
// The process has its own session and writes into files, not pipes: it survives the terminal and the UI. The files have
// no names any more when it runs, so that there is nothing to clean up and nobody else reads them.
func (s *Session) Operate(ctx context.Context, args []string, f func(cluster.Event)) error {
	op := "bonsai " + strings.Join(args, " ")
	o := &operation{verb: args[0], f: f}
	args = s.arguments(args)
	stdout, err := s.scratch()
	if err != nil {
		return err
	}
	defer func() { _ = stdout.Close() }()
	stderr, err := s.scratch()
	if err != nil {
		return err
	}
	defer func() { _ = stderr.Close() }()

	cmd := exec.Command(s.o.Executable, args...)
	cmd.Env = append(os.Environ(), statedir.EnvHome+"="+s.o.State.Root, "NO_COLOR=1")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fault.New(fault.Internal, op, err)
	}
	out, complaints := &tailed{f: stdout}, &tailed{f: stderr}
	code, err := o.await(ctx, s, cmd.Process, out, complaints)
	if err != nil || code == 0 {
		return err
	}
	return o.failure(op, code)
}

// arguments are those of the verb plus those for output format and cluster, unless they name one. Everything after two
// dashes belongs to another command.
func (s *Session) arguments(args []string) []string {
	end := slices.Index(args, "--")
	if end < 0 {
		end = len(args)
	}
	var ours []string
	if !slices.Contains(args[:end], "-p") {
		ours = append(ours, "-p", s.o.Name)
	}
	if speaksJSON(args) {
		ours = append(ours, "-o", "json")
	}
	return slices.Concat(args[:end], ours, args[end:])
}

// speaksJSON reports whether a verb prints its steps as JSON.
func speaksJSON(args []string) bool {
	if len(args) > 1 {
		switch args[0] {
		case "addons":
			return args[1] == "enable" || args[1] == "disable"
		case "node":
			return args[1] != "list"
		case "checkpoint":
			return args[1] == "restore"
		}
	}
	return slices.Contains([]string{"start", "stop", "delete", "apply", "fork"}, args[0])
}

// scratch creates a file without a name.
func (s *Session) scratch() (*os.File, error) {
	const op = "make a file for an operation's output"
	const advice = "set " + statedir.EnvHome + " to a folder in which this user can create files"
	if err := os.MkdirAll(s.o.State.Root, 0o700); err != nil { // an existing one keeps its mode
		return nil, fault.New(fault.State, op, err).Advise(advice)
	}
	f, err := os.CreateTemp(s.o.State.Root, ".operation-*")
	if err != nil {
		return nil, fault.New(fault.State, op, err).Advise(advice)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, fault.New(fault.State, op, err).Advise(advice)
	}
	return f, nil
}

// operation is one run of a verb.
type operation struct {
	verb     string
	f        func(cluster.Event)
	failed   *cluster.Problem // of the newest step that failed
	problems []cluster.Problem
	lines    []string // the last ones that are no JSON
}

// await reports what the process writes until it exits.
func (o *operation) await(ctx context.Context, s *Session, p *os.Process, out, complaints *tailed) (code int, err error) {
	tick := time.NewTicker(operateTick)
	defer tick.Stop()
	interrupted := ctx.Done()
	var deadline <-chan time.Time
	for {
		// Check for the exit first: what was written before it is read after it.
		code, ended, err := reap(p.Pid)
		if err != nil {
			return 0, fault.New(fault.Internal, "wait for the operation", err)
		}
		for _, t := range []*tailed{out, complaints} {
			if err := t.read(o.line); err != nil {
				return 0, fault.New(fault.State, "read the operation's output", err)
			}
		}
		if ended {
			out.rest(o.line)
			complaints.rest(o.line)
			return code, nil
		}
		select {
		case <-tick.C:
		case <-interrupted:
			if errors.Is(context.Cause(ctx), cluster.ErrDetach) {
				return 0, errors.Join(p.Release(), context.Cause(ctx))
			}
			// It cleans up after the first signal, and stops at once at a second one.
			interrupted = nil
			deadline = time.After(s.o.Scale.Of(cleanUpLimit))
			if err := p.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return 0, fault.New(fault.Internal, "interrupt the operation", err)
			}
		case <-deadline:
			return 0, fault.Newf(fault.Timeout, "timed out after %s waiting for the interrupted operation (process %d) to clean up", s.o.Scale.Of(cleanUpLimit), p.Pid).
				Advise("it goes on; end it", cluster.Program("kill", "-9").On(strconv.Itoa(p.Pid)).Change())
		}
	}
}

// reap checks whether a child has exited. Waiting for it would need a goroutine that could not be ended.
func reap(pid int) (code int, ended bool, err error) {
	var status syscall.WaitStatus
	for {
		got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return 0, false, err
		case got == 0:
			return 0, false, nil
		case status.Signaled():
			return 128 + int(status.Signal()), true, nil
		}
		return status.ExitStatus(), true, nil
	}
}

// line processes one line of the process: an event, a problem, or text.
func (o *operation) line(line []byte, _ int) {
	var e cluster.Event
	var p cluster.Problem
	switch {
	case len(bytes.TrimSpace(line)) == 0:
	case line[0] == '{' && json.Unmarshal(line, &e) == nil && e.Step != "":
		if e.Kind == cluster.StepFailed && e.Problem != nil {
			o.failed = e.Problem
		}
		o.f(e)
	case line[0] == '{' && json.Unmarshal(line, &p) == nil && p.Summary != "":
		o.problems = append(o.problems, p)
	default:
		text := string(line)
		o.lines = append(o.lines, text)
		o.lines = o.lines[max(0, len(o.lines)-keptOutput):]
		o.f(cluster.Event{Kind: cluster.StepProgress, Step: o.verb, Title: o.verb, Detail: text, Time: time.Now()})
	}
}

// failure is what the verb itself reported about its failure.
func (o *operation) failure(op string, code int) error {
	var errs []error
	for _, p := range o.problems {
		errs = append(errs, fault.FromProblem(p))
	}
	switch {
	case len(errs) == 1:
		return errs[0]
	case len(errs) > 1:
		return errors.Join(errs...)
	case o.failed != nil:
		return fault.FromProblem(*o.failed)
	}
	if printed := printedErrors(o.lines, fault.KindOfCode(code)); len(printed) > 0 {
		return errors.Join(printed...)
	}
	return fault.Newf(fault.Internal, "%s exited with code %d", op, code).WithEvidence(o.lines...)
}

// printedErrors reads the errors that a verb without JSON has printed for people: each is a line "error: …", and indented
// ones after it with its cause, evidence and hint.
func printedErrors(lines []string, kind fault.Kind) (list []error) {
	var f *fault.Fault
	cause, hint := "", ""
	end := func() {
		if f == nil {
			return
		}
		if cause != "" {
			f.Err = errors.New(cause)
		}
		if hint != "" {
			f.Advise(hint)
		}
		list = append(list, f)
		f, cause, hint = nil, "", ""
	}
	var more *string // what an indented line goes on with
	for _, line := range lines {
		text, isError := strings.CutPrefix(line, "error: ")
		indented := strings.TrimSpace(line)
		switch {
		case isError:
			end()
			f = &fault.Fault{Kind: kind, Op: text}
			more = &f.Op
		case f == nil || !strings.HasPrefix(line, "  "):
			end()
		case strings.HasPrefix(indented, "cause: "):
			cause, more = strings.TrimPrefix(indented, "cause: "), &cause
		case strings.HasPrefix(indented, "hint: "):
			hint, more = strings.TrimPrefix(indented, "hint: "), &hint
		case strings.HasPrefix(indented, "| "):
			f.Evidence = append(f.Evidence, strings.TrimPrefix(indented, "| "))
		default:
			*more += "\n" + indented
		}
	}
	end()
	return list
}

// tailed reads lines of a growing file. It has its own position; that of the file is the writer's.
type tailed struct {
	f    *os.File
	at   int64
	part []byte
}

func (t *tailed) read(f func(line []byte, cut int)) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := t.f.ReadAt(buf, t.at)
		t.at += int64(n)
		t.part = append(t.part, buf[:n]...)
		for {
			line, rest, ok := bytes.Cut(t.part, []byte{'\n'})
			if !ok {
				break
			}
			t.part = rest
			f(line, 0)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read output: %w", err)
		}
	}
}

// rest is what follows the last line break.
func (t *tailed) rest(f func(line []byte, cut int)) {
	if len(t.part) > 0 {
		f(t.part, 0)
		t.part = nil
	}
}
