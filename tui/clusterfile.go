package tui

import (
	"os"
	"path/filepath"
	"strings"

	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// filePage shows the file that makes the cluster again, or what another file would change in it, which can be applied.
type filePage struct {
	*outputPage
	// path is the file that was compared; empty for the cluster's own.
	path string
	// wanted says that the plan is to be applied, and was not complete when somebody said so: its lines are on the screen
	// before the command that writes them has ended.
	wanted bool
}

// openFile shows the file that makes the cluster again.
func (u *ui) openFile() { u.showFile("", []string{"config", "view"}) }

// planFile shows what a file would change.
func (u *ui) planFile(path string) { u.showFile(path, []string{"plan", "-f", path}) }

func (u *ui) showFile(path string, args []string) {
	p := &filePage{outputPage: newOutputPage(u, bonsaiCommand(args...).String()), path: path}
	p.ended = func() {
		if p.wanted {
			p.wanted = false
			p.askApply()
		}
	}
	u.push(p)
	u.runInto(p.outputPage, args)
}

func (p *filePage) place() string { return "file" }

func (p *filePage) hide() {
	p.wanted = false
	p.outputPage.hide()
}

func (p *filePage) contexts() []keymap.Context {
	return append([]keymap.Context{keymap.File}, p.outputPage.contexts()...)
}

func (p *filePage) hints() []hint {
	hints := hintsOf("file.plan", "file.view", "text.copy")
	if p.path != "" {
		hints = append(hintsOf("file.apply"), hints...)
	}
	return hints
}

func (p *filePage) act(id string) bool {
	u := p.u
	switch id {
	case "file.plan":
		u.askPlan()
	case "file.view":
		u.openFile()
	case "file.apply":
		if p.path == "" {
			u.toast.say(paint.Dim, u.T("choose a file first: %s", u.keyIn(u.chain(), "file.plan")))
			break
		}
		p.askApply()
	default:
		return p.outputPage.act(id)
	}
	return true
}

// askPlan asks for the path of a cluster file, and shows what it would change.
func (u *ui) askPlan() {
	u.openPrompt(&prompt{label: u.T("cluster file: "), kind: "file", complete: completePath, done: func(text string) {
		text = strings.TrimSpace(text)
		if text == "" {
			return
		}
		path := expandHome(text)
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			u.toast.say(paint.Fail, u.T("%s is not a file that can be read", text))
			return
		}
		u.planFile(path)
	}}, "")
}

// askApply shows the plan once more, and makes the cluster what the file says. If the plan is not complete, it asks when it is.
func (p *filePage) askApply() {
	u := p.u
	switch {
	case u.refuseChange() || u.refuseSecond(u.session.Name()):
		return
	case !p.done:
		p.wanted = true
		u.toast.say(paint.Dim, u.T("the plan is still being made; you are asked once it is complete"))
		return
	case p.err != nil:
		u.toast.say(paint.Warn, u.T("this file cannot be applied to the cluster as it is"))
		return
	}
	text := make([]string, 0, mostLost+2)
	for i, line := range p.lines {
		if i == mostLost {
			text = append(text, u.T("and %d more", len(p.lines)-i))
			break
		}
		if line != "" {
			text = append(text, line)
		}
	}
	u.askLater(u.T("apply %s?", paint.Clean(filepath.Base(p.path))), append(text, paint.Clean(p.path), u.T("cluster: %s", u.session.Name())), u.T("Apply"), func() {
		title := u.T("apply %s", paint.Clean(filepath.Base(p.path)))
		u.changeCluster(u.session.Name(), []string{"apply", "-f", p.path}, title, func(err error) {
			u.state.Again()
			if err != nil {
				u.explainFailure(title, err)
				return
			}
			u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+title)
		})
	})
}

// expandHome puts the user's folder in the place of a tilde.
func expandHome(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}

// mostPaths bounds how many endings of a path are offered.
const mostPaths = 20

// completePath offers files and folders that begin as what was typed.
func completePath(text string) []string {
	folder, begin := filepath.Split(text)
	entries, err := os.ReadDir(filepath.Clean(expandHome(folder) + "."))
	if err != nil {
		return nil
	}
	var list []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), begin) || strings.HasPrefix(e.Name(), ".") && begin == "" || paint.Clean(e.Name()) != e.Name() {
			continue
		}
		name := folder + e.Name()
		if e.IsDir() {
			name += string(filepath.Separator)
		}
		if list = append(list, name); len(list) == mostPaths {
			break
		}
	}
	return list
}
