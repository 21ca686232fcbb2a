package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/yamldiff"
	"bonsai/tui/paint"
)

// edit gives the terminal to the user's editor with an object's YAML, and replaces the object by what comes back. What
// was refused is kept and comes up again.
func (u *ui) edit(s *subject) { u.editThen(s, nil) }

// editThen is edit; if then is not nil, what would change is shown before it is changed, and then is called after that.
func (u *ui) editThen(s *subject, then func(back *undo)) {
	if u.opts.Editor == "" {
		u.toast.say(paint.Warn, u.T("no editor is set; set EDITOR"))
		return
	}
	ref := s.ref
	if d := u.drafts[draftKey(ref)]; d != nil {
		d.then = then
		d.begin()
		return
	}
	fetch(u, func(ctx context.Context) (string, error) { return u.session.YAML(ctx, ref) }, func(text string, err error) {
		if err != nil {
			u.fail(err)
			return
		}
		e := &editing{u: u, ref: ref, title: s.name(), before: text, text: text, then: then}
		e.begin()
	})
}

func draftKey(ref kube.Ref) string {
	return ref.Type.Group + "/" + ref.Type.Resource + "/" + ref.Namespace + "/" + ref.Name
}

// editing is one object that is being edited.
type editing struct {
	u     *ui
	ref   kube.Ref
	title string
	// before is what the object was, text what it is to be, trouble why that was refused: it is shown above the text.
	before, text string
	trouble      []string
	// then, if set, wants the change to be shown before it is made, and is called afterwards.
	then func(back *undo)
}

// edited is a change that was made, to be taken back.
type edited struct {
	ref           kube.Ref
	title         string
	before, after string
}

// endOfTrouble is the line that ends what stands above the object.
const endOfTrouble = "# --- the object begins below this line ---"

// begin opens the editor.
func (e *editing) begin() {
	text := e.text
	if len(e.trouble) > 0 {
		var b strings.Builder
		for _, t := range e.trouble {
			b.WriteString("# " + t + "\n")
		}
		text = b.String() + endOfTrouble + "\n" + text
	}
	u := e.u
	fetch(u, func(context.Context) (string, error) { return writePrivate(e.ref.Name+".yaml", text) }, func(path string, err error) {
		if err != nil {
			u.fail(err)
			return
		}
		c := editorCommand(u.opts.Editor, path)
		u.lend(c, func(err error) {
			fetch(u, func(context.Context) (string, error) { return readPrivate(path) }, func(text string, readErr error) {
				if err = errors.Join(err, readErr); err != nil {
					u.fail(fmt.Errorf("edit with %s: %w", u.opts.Editor, err))
					return
				}
				e.returned(text)
			})
		})
	})
}

// returned takes what the editor has left.
func (e *editing) returned(text string) {
	u := e.u
	if _, rest, found := strings.Cut(text, endOfTrouble+"\n"); found {
		text = rest
	}
	switch {
	case strings.TrimSpace(text) == "":
		delete(u.drafts, draftKey(e.ref))
		u.toast.say(paint.Plain, u.T("the text is empty; nothing was changed"))
	case text == e.before:
		delete(u.drafts, draftKey(e.ref))
		u.toast.say(paint.Plain, u.T("nothing was changed"))
	case text == e.text && len(e.trouble) > 0:
		delete(u.drafts, draftKey(e.ref))
		u.toast.say(paint.Plain, u.T("cancelled; nothing was changed"))
	default:
		e.text = text
		if e.then != nil {
			e.show()
			return
		}
		e.submit()
	}
}

// show asks the API server what the text would change, shows that, and asks. The text is kept if it is not wanted.
func (e *editing) show() {
	u := e.u
	title := u.T("change %s", e.title)
	var would kube.Difference
	u.work(u.T("ask what would change: %s", title), func(ctx context.Context, _ func(string)) (err error) {
		would, err = u.session.PreviewReplace(ctx, e.ref, e.text)
		if fault.KindOf(err) == fault.Conflict { // that is dealt with when it is made
			would, err = kube.Difference{Before: e.before, After: e.text}, nil
		}
		return err
	}, func(err error) {
		if err != nil {
			e.refused(err, "")
			return
		}
		diff := yamldiff.Changes(would.Before, would.After)
		if len(diff) == 0 {
			u.toast.say(paint.Dim, u.T("nothing would change: it is like that already"))
			return
		}
		e.keep()
		q := u.newQuestion(title+"?", []string{u.T("cluster: %s", u.session.Name())}, u.T("Change"), "", e.submit)
		q.diff = diff
		u.openLater(q)
	})
}

// keep has the text come up again when the object is edited.
func (e *editing) keep() {
	if e.u.drafts == nil {
		e.u.drafts = map[string]*editing{}
	}
	e.u.drafts[draftKey(e.ref)] = e
}

// submit replaces the object.
func (e *editing) submit() {
	u := e.u
	entry := u.record(editCommand(e.ref))
	var after, current string
	u.work(u.T("change %s", e.title), func(ctx context.Context, _ func(string)) error {
		text, before := e.text, e.before
		for range statusTries {
			err := u.session.Replace(ctx, e.ref, text)
			if err == nil {
				after, _ = u.session.YAML(ctx, e.ref) // only to see later whether somebody else has changed it
				return nil
			}
			if fault.KindOf(err) != fault.Conflict {
				return err
			}
			now, readErr := u.session.YAML(ctx, e.ref)
			if readErr != nil {
				return err
			}
			current = now
			if yamldiff.Essence(now) != yamldiff.Essence(before) {
				return err
			}
			// Only its status has changed, as that of busy objects does all the time.
			text, before = yamldiff.WithVersion(text, now), now
		}
		return fault.Newf(fault.Conflict, "the object changes all the time")
	}, func(err error) {
		entry.end(u, err)
		if err != nil {
			e.refused(err, current)
			return
		}
		delete(u.drafts, draftKey(e.ref))
		last := &edited{e.ref, e.title, e.before, after}
		back := &undo{u.T("undo the edit of %s", e.title), func() { u.undoEdit(last) }}
		if u.did(u.T("changed %s", e.title), back); e.then != nil {
			e.then(back)
		}
	})
}

// statusTries is how often a change is tried again when only the status of its object has changed meanwhile.
const statusTries = 5

// refused keeps the text and asks whether to go on with it.
func (e *editing) refused(err error, current string) {
	u := e.u
	p := u.problemOf(err)
	e.trouble = e.trouble[:0]
	for _, t := range []string{p.Summary, p.Cause} {
		for line := range strings.SplitSeq(t, "\n") {
			if line = paint.Clean(line); line != "" {
				e.trouble = append(e.trouble, line)
			}
		}
	}
	if fault.KindOf(err) == fault.Conflict && current != "" {
		e.trouble = append(e.trouble, u.T("It was changed by somebody else in the meantime. Saving this text reverts that:"))
		e.trouble = append(e.trouble, changedLines(yamldiff.Essence(e.before), yamldiff.Essence(current))...)
		e.text, e.before = yamldiff.WithVersion(e.text, current), current
	}
	e.keep()
	text := append([]string{}, e.trouble[:min(len(e.trouble), 12)]...)
	text = append(text, "", u.T("The text is kept: it is opened when %s is edited again.", e.title))
	u.open(&question{u: u, title: u.T("the change was rejected"), text: text, accept: u.T("Edit again"), onYes: true, answer: e.begin})
}

// undoEdit makes the object that was edited last what it was before.
func (u *ui) undoEdit(last *edited) {
	fetch(u, func(ctx context.Context) (string, error) { return u.session.YAML(ctx, last.ref) }, func(current string, err error) {
		if err != nil {
			u.fail(err)
			return
		}
		back := func() {
			entry := u.actions.begin(u.clock.now(), u.toShell(cluster.Kubectl("replace").With("-f", "-").Change())+"  # "+paint.Clean(last.title)+" as it was")
			u.work(u.T("undo the edit of %s", last.title), func(ctx context.Context, _ func(string)) error {
				return u.session.Replace(ctx, last.ref, yamldiff.WithVersion(last.before, current))
			}, func(err error) {
				entry.end(u, err)
				if err != nil {
					u.fail(err)
					return
				}
				u.undo = nil
				u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+u.T("%s is restored", last.title))
			})
		}
		if last.after == "" || yamldiff.Essence(current) == yamldiff.Essence(last.after) {
			back()
			return
		}
		text := append([]string{u.T("It has changed since. Undoing reverts this, too:")}, changedLines(yamldiff.Essence(last.after), yamldiff.Essence(current))...)
		u.ask(u.T("undo the edit of %s?", last.title), text[:min(len(text), 14)], u.T("Undo"), "", back)
	})
}

// mostDifference bounds how many lines of a difference are shown.
const mostDifference = 30

// changedLines is the lines that new has and old has not, and the other way around, in the order of the texts.
func changedLines(old, new string) []string {
	count := map[string]int{}
	for line := range strings.SplitSeq(new, "\n") {
		count[line]++
	}
	var list []string
	for line := range strings.SplitSeq(old, "\n") {
		if count[line]--; count[line] < 0 {
			list = append(list, "- "+paint.Clean(line))
		}
	}
	clear(count)
	for line := range strings.SplitSeq(old, "\n") {
		count[line]++
	}
	for line := range strings.SplitSeq(new, "\n") {
		if count[line]--; count[line] < 0 {
			list = append(list, "+ "+paint.Clean(line))
		}
	}
	return list[:min(len(list), mostDifference)]
}

// writePrivate writes a file that only its user can read, in a folder of its own.
func writePrivate(name, text string) (path string, err error) {
	dir, err := os.MkdirTemp("", "bonsai-edit-")
	if err != nil {
		return "", fmt.Errorf("make a folder for the text: %w", err)
	}
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:`, r) || r < ' ' {
			return '-'
		}
		return r
	}, name)
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", errors.Join(fmt.Errorf("write the text for the editor: %w", err), os.RemoveAll(dir))
	}
	return path, nil
}

// readPrivate reads the file and takes it away, with its folder and what the editor has left there.
func readPrivate(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = nil, nil
	}
	return string(data), errors.Join(err, os.RemoveAll(filepath.Dir(path)))
}

// editorProgram is an editor that has the terminal.
type editorProgram struct{ *exec.Cmd }

func (p editorProgram) SetStdin(r io.Reader)  { p.Stdin = r }
func (p editorProgram) SetStdout(w io.Writer) { p.Stdout = w }
func (p editorProgram) SetStderr(w io.Writer) { p.Stderr = w }

// editorCommand runs an editor whose command line may have arguments, and needs a shell if it has quotes or variables.
func editorCommand(editor, path string) editorProgram {
	if strings.ContainsAny(editor, "\"'`$\\|&;<>(){}*?~") {
		return editorProgram{exec.Command("sh", "-c", editor+` "$1"`, "editor", path)}
	}
	args := append(strings.Fields(editor), path)
	return editorProgram{exec.Command(args[0], args[1:]...)}
}
