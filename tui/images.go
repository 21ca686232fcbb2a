package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/feed"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// imagesPage lists the images in the nodes: which node lacks which, and how they came there.
type imagesPage struct {
	u     *ui
	grid  *grid.Grid
	feed  *feed.Feed
	nodes []string // that were asked
	known bool
	err   error
	node  string // the only one that is shown; empty for all
}

// nodeImages is one image with what each node has of it.
type nodeImages struct {
	name    string
	on      map[string]cluster.NodeImage
	missing []string
}

func newImagesPage(u *ui, node string) *imagesPage {
	p := &imagesPage{u: u, node: node}
	p.grid = grid.New([]grid.Column{
		{Title: "Image", Min: 24, Max: 90}, {Title: "On", Min: 5, Max: 9}, {Title: "Missing on", Min: 10, Max: 40, Drop: 1},
		{Title: "Came by", Min: 7, Max: 10, Drop: 3}, {Title: "Age", Kind: grid.Age, Drop: 2},
	})
	p.feed = poll(u, u.session.Images, func(byNode map[string][]cluster.NodeImage, err error) {
		p.err = err
		if err == nil {
			p.known = true
			p.fill(byNode)
		}
	})
	return p
}

func (p *imagesPage) show()         { p.feed.Use() }
func (p *imagesPage) hide()         { p.feed.Leave() }
func (p *imagesPage) place() string { return "images" }
func (p *imagesPage) crumb() string { return p.u.T("images") }

func (p *imagesPage) contexts() []keymap.Context { return []keymap.Context{keymap.Images} }

func (p *imagesPage) hints() []hint {
	return append(hintsOf("image.load", "image.pull"), append([]hint{{id: "image.remove"}, {id: "image.node"}}, hintsOf("open", "mark")...)...)
}

// fill makes the rows.
func (p *imagesPage) fill(byNode map[string][]cluster.NodeImage) {
	p.nodes = p.nodes[:0]
	images := map[string]*nodeImages{}
	for node, list := range byNode {
		p.nodes = append(p.nodes, node)
		for _, i := range list {
			at := images[i.Name]
			if at == nil {
				at = &nodeImages{name: i.Name, on: map[string]cluster.NodeImage{}}
				images[i.Name] = at
			}
			at.on[node] = i
		}
	}
	slices.Sort(p.nodes)
	if p.node != "" && !slices.Contains(p.nodes, p.node) && len(p.nodes) > 0 {
		p.node = "" // it has gone
	}
	var gone []string
	p.grid.All(func(it *grid.Item) {
		if images[it.ID] == nil {
			gone = append(gone, it.ID)
		}
	})
	p.grid.Remove(gone...)
	for _, i := range images {
		for _, n := range p.nodes {
			if _, ok := i.on[n]; !ok {
				i.missing = append(i.missing, n)
			}
		}
		p.grid.Set(p.item(i))
	}
}

func (p *imagesPage) item(i *nodeImages) grid.Item {
	u := p.u
	loaded, newest := false, time.Time{}
	for _, n := range i.on {
		loaded = loaded || n.Loaded
		if n.Updated.After(newest) {
			newest = n.Updated
		}
	}
	on := fmt.Sprintf("%d/%d", len(i.on), len(p.nodes))
	state, role := paint.StateOK, paint.Plain
	switch {
	case p.node != "":
		if _, ok := i.on[p.node]; !ok {
			state = paint.StateOff
		}
	case len(i.missing) == 0:
		on = u.T("all")
	case loaded: // pods on the others may not find it
		state, role = paint.StateWarn, paint.Warn
	default:
		state = paint.StateNone
	}
	by := u.T("pull")
	if loaded {
		by = u.T("load")
	}
	return grid.Item{
		ID: i.name, Key: i.name, State: state, Time: newest, Data: i,
		Cells: []string{shortImage(paint.Clean(i.name)), on, paint.Clean(strings.Join(i.missing, " ")), by, ""},
		Roles: []paint.Role{paint.Strong, paint.Plain, role, paint.Dim, paint.Dim},
	}
}

// shortImage is a name as people write it: without the registry and the folder that everybody means.
func shortImage(name string) string {
	if rest, ok := strings.CutPrefix(name, "docker.io/"); ok {
		return strings.TrimPrefix(rest, "library/")
	}
	return name
}

func (p *imagesPage) filterText() string    { return p.grid.Filter() }
func (p *imagesPage) filterPrompt() string  { return "/" }
func (p *imagesPage) setFilter(text string) { p.grid.SetFilter(text); p.u.touch() }
func (p *imagesPage) click(x, y int)        { p.grid.Click(x, y-1) }
func (p *imagesPage) wheel(rows int)        { p.grid.Move(rows) }
func (p *imagesPage) back() bool            { return p.grid.Unmark() }

func (p *imagesPage) act(id string) bool {
	u := p.u
	switch id {
	case "mark":
		p.grid.Mark()
	case "open":
		p.explain()
	case "image.load":
		p.askLoad()
	case "image.pull":
		p.askPull()
	case "image.remove":
		p.askRemove()
	case "image.node":
		p.turnNode()
	case "image.copy":
		if it, ok := p.grid.Current(); ok {
			u.copy(it.ID)
		}
	default:
		return gridAct(u, p.grid, id)
	}
	return true
}

// turnNode shows the images of the next node, or those of all.
func (p *imagesPage) turnNode() {
	at := slices.Index(p.nodes, p.node) + 1
	p.node = ""
	if at < len(p.nodes) {
		p.node = p.nodes[at]
	}
	p.grid.All(func(it *grid.Item) { p.grid.Set(p.item(it.Data.(*nodeImages))) })
}

// explain says what each node has of the image under the cursor.
func (p *imagesPage) explain() {
	u := p.u
	it, ok := p.grid.Current()
	if !ok {
		return
	}
	i := it.Data.(*nodeImages)
	width := max(20, min(76, u.width-6))
	t := &textBox{u: u, title: shortImage(paint.Clean(i.name))}
	add := func(role paint.Role, text string) {
		for _, part := range paint.Wrap(paint.Clean(text), width) {
			t.lines = append(t.lines, u.theme.Line(width).Add(role, part).String())
		}
	}
	add(paint.Strong, i.name)
	for _, n := range p.nodes {
		have, ok := i.on[n]
		if !ok {
			add(paint.Warn, u.theme.Glyphs.Off+" "+u.T("%s does not have it", n))
			continue
		}
		by := u.T("pulled, or part of the node")
		if have.Loaded {
			by = u.T("loaded")
		}
		add(paint.Plain, u.theme.Glyphs.OK+" "+n+"  "+by)
		add(paint.Dim, "  "+have.Target)
	}
	u.open(t)
}

// runImage runs a verb of images, after which the list is asked for again.
func (p *imagesPage) runImage(args []string, title string) {
	u := p.u
	if u.refuseChange() {
		return
	}
	u.operate(append([]string{"image"}, args...), title, func([]cluster.Event) {}, func(err error) {
		p.feed.Again()
		if err != nil {
			u.explainFailure(title, err)
			return
		}
		u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+title)
	})
}

// askLoad offers the images of the container engine; what is typed may also be the path of an archive.
func (p *imagesPage) askLoad() {
	u := p.u
	if u.refuseChange() {
		return
	}
	load := func(names ...string) {
		p.runImage(append([]string{"load"}, names...), u.T("load %s", paint.Clean(strings.Join(names, " "))))
	}
	fetch(u, u.session.EngineImages, func(names []string, err error) {
		if err != nil {
			u.explainFailure(u.T("list the images of the container engine"), err)
			return
		}
		var choices []choice
		for _, name := range names {
			hint := ""
			if i, ok := p.find(name); ok {
				hint = u.T("on %d of %d nodes", len(i.on), len(p.nodes))
			}
			choices = append(choices, choice{title: paint.Clean(name), hint: hint, run: func() { load(name) }})
		}
		m := u.choose(u.T("load which image of the container engine? Or type the path of an archive"), choices)
		m.free = func(text string) {
			args, err := splitArgs(text)
			if err != nil {
				u.fail(err)
				return
			}
			if len(args) > 0 {
				load(args...)
			}
		}
	})
}

// find is the image of the nodes that has a name of the engine.
func (p *imagesPage) find(name string) (*nodeImages, bool) {
	for _, full := range []string{name, "docker.io/" + name, "docker.io/library/" + name} {
		if it, ok := p.grid.Get(full); ok {
			return it.Data.(*nodeImages), true
		}
	}
	return nil, false
}

func (p *imagesPage) askPull() {
	u := p.u
	if u.refuseChange() {
		return
	}
	u.openForm(&form{
		title: u.T("pull an image"), accept: u.T("Pull"),
		text: []string{u.T("every node pulls it from its registry, as it does for a pod")},
		fields: []*field{{label: u.T("image"), hint: u.T("such as nginx:alpine"), check: func(text string) string {
			if text == "" || strings.ContainsAny(text, " \t\"'") || strings.HasPrefix(text, "-") {
				return u.T("not the name of an image")
			}
			return ""
		}}},
		done: func(v []string) { p.runImage([]string{"pull", v[0]}, u.T("pull %s", v[0])) },
	})
}

func (p *imagesPage) askRemove() {
	u := p.u
	if u.refuseChange() {
		return
	}
	marked := p.grid.Marked()
	if len(marked) == 0 {
		u.toast.say(paint.Dim, u.T("nothing is selected"))
		return
	}
	names := make([]string, len(marked))
	text := []string{}
	for i, it := range marked {
		names[i] = it.ID
		if i < mostLost {
			text = append(text, paint.Clean(it.ID))
		}
	}
	if len(names) > mostLost {
		text = append(text, u.T("and %d more", len(names)-mostLost))
	}
	title := u.T("remove %s", shortImage(paint.Clean(names[0])))
	if len(names) > 1 {
		title = u.T("remove %d images", len(names))
	}
	u.ask(title+"?", append(text, u.T("running containers go on; nodes that come later do not get it again"), u.T("cluster: %s", u.session.Name())),
		u.T("Remove"), "", func() {
			p.grid.Unmark()
			p.runImage(append([]string{"rm"}, names...), title)
		})
}

func (p *imagesPage) draw(w, h int) []string {
	u := p.u
	note := u.T("on all nodes")
	if p.node != "" {
		note = u.T("on %s", paint.Clean(p.node))
	}
	l := readList{
		grid: p.grid, known: p.known, err: p.err, reading: u.T("reading %s", u.T("images")), empty: u.T("there are no %s", u.T("images")),
	}
	return l.draw(u, w, h, u.heading(w, u.T("IMAGES"), note), func(line *paint.Line) {
		it, ok := p.grid.Current()
		if !ok {
			return
		}
		switch i := it.Data.(*nodeImages); {
		case len(i.missing) > 0:
			line.Add(paint.Warn, u.T("not on %s", paint.Clean(strings.Join(i.missing, ", "))))
		default:
			line.Add(paint.Dim, paint.Clean(cmp.Or(i.on[p.node].Target, i.on[p.nodes[0]].Target)))
		}
	})
}
