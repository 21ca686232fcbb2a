package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
	"bonsai/cmd/bonsai/internal/learn"
	"bonsai/cmd/bonsai/internal/learn/texts"
)

// learnFile is the name of the learner's progress in the state folder.
const learnFile = "learn.json"

// class is what a verb of learn works with.
type class struct {
	*app
	o        learnOptions
	session  Session
	school   *learn.School
	words    learnWords
	file     string
	progress *learn.Progress
	// world and spec are there after enter.
	world learn.World
	spec  *cluster.Spec
}

// read reads the files that the flags mean. With mistakes in them there are both, a school and an error.
func (o learnOptions) read() (*learn.School, error) {
	if o.dir == "" {
		return learn.Load(texts.Files)
	}
	if info, err := os.Stat(o.dir); err != nil || !info.IsDir() {
		return nil, fault.Newf(fault.Usage, "--dir %s is not a folder", o.dir)
	}
	return learn.Load(os.DirFS(o.dir))
}

// lessons are those without a mistake.
func (o learnOptions) lessons() (*learn.School, error) {
	school, err := o.read()
	if school == nil {
		return nil, err
	}
	if err != nil {
		return nil, fault.New(fault.Usage, "read the lessons", err).Advise("see all mistakes", cluster.Bonsai("learn", "lint").With("--dir", o.dir).OfNone())
	}
	return school, nil
}

// class opens the school; no cluster is needed yet.
func (a *app) class(o learnOptions) (*class, error) {
	s, err := a.open()
	if err != nil {
		return nil, err
	}
	settings, err := loadUISettings(s.State)
	if err != nil {
		return nil, err
	}
	language := cmp.Or(o.lang, settings.Lang)
	if o.dir == "" || o.lang == "" { // lessons of one's own can be in any language
		if err := checkUISettings("--", uiSettings{Lang: o.lang}); err != nil {
			return nil, err
		}
	}
	language = detectTerminal(os.Getenv, "", false, language).lang
	language, _, _ = strings.Cut(strings.ToLower(language), "_")
	c := &class{app: a, o: o, session: s, words: learnWordsOf(language), file: filepath.Join(s.State.Root, learnFile)}
	c.o.lang = language
	if c.school, err = o.lessons(); err != nil {
		return nil, err
	}
	if c.progress, err = learn.ReadProgress(c.file); err != nil {
		return nil, fault.New(fault.State, "read your progress", err).Advisef("remove the file to start again: %s", c.file)
	}
	return c, nil
}

// save keeps the progress.
func (c *class) save() error {
	if err := os.MkdirAll(filepath.Dir(c.file), 0o700); err != nil {
		return fault.New(fault.State, "keep your progress", err)
	}
	if err := c.progress.Write(c.file); err != nil {
		return fault.New(fault.State, "keep your progress", err)
	}
	return nil
}

// enter connects to the cluster; leave has to be called.
func (c *class) enter(ctx context.Context) (leave func(), err error) {
	client, spec, err := c.wakeDaemon(ctx)
	if err != nil {
		return nil, err
	}
	c.spec = spec
	c.world, leave, err = c.Learn(c.session.State.Cluster(c.profile), client)
	return leave, c.explain(err)
}

// thing is what the verbs are about, in an error.
func (c *class) thing() string {
	if c.o.faults {
		return "fault"
	}
	return "lesson"
}

// verb is a command below learn, or below learn faults.
func (c *class) verb(words ...string) cluster.Command {
	verb := []string{"learn"}
	if c.o.faults {
		verb = append(verb, "faults")
	}
	command := cluster.Bonsai(append(verb, words...)...)
	if c.o.dir != "" {
		command = command.With("--dir", c.o.dir)
	}
	return command
}

// line is a command to type.
func (c *class) line(words ...string) string {
	command := c.verb(words...).For(c.profile)
	command.Named = c.otherDefault
	return command.String()
}

// find returns a lesson by name.
func (c *class) find(name string) (learn.Lesson, error) {
	l, ok := c.school.Find(name, c.o.lang)
	if ok && l.Fault == c.o.faults {
		return l, nil
	}
	f := fault.Newf(fault.Usage, "there is no %s %q", c.thing(), name)
	if like := c.school.Like(name, c.o.faults); like != "" {
		return l, f.Advise("did you mean this?", c.verb("start").On(like))
	}
	return l, f.Advise("see all", c.verb("list").OfNone())
}

// room is a lesson in this cluster.
type room struct {
	learn.Lesson
	record    *learn.Record
	namespace string
	profile   string // what follows a command of bonsai
}

// in fills the places of a lesson.
func (c *class) in(l learn.Lesson) (room, error) {
	places := learn.Places{Namespace: learn.NamespaceOf(l.Name)}
	if c.profile != cluster.DefaultName || c.otherDefault {
		places.Profile = " -p " + c.profile
	}
	for _, n := range c.spec.Nodes {
		places.Nodes = append(places.Nodes, n.Name)
	}
	l, err := l.Fill(places)
	return room{l, c.progress.Lessons[l.Name], places.Namespace, places.Profile}, err
}

// current is the lesson that was begun last in this cluster, which has to be there still.
func (c *class) current(ctx context.Context) (room, error) {
	at := c.progress.Current[c.profile]
	name := at.Lesson
	if c.o.faults {
		name = at.Fault
	}
	begin := c.verb("list").OfNone()
	if name == "" {
		return room{}, fault.Newf(fault.Usage, "no %s was begun in cluster %q", c.thing(), c.profile).Advise("choose one", begin)
	}
	l, ok := c.school.Find(name, c.o.lang)
	if !ok {
		return room{}, fault.Newf(fault.Usage, "%s %q, which was begun last, is not among these", c.thing(), name).Advise("choose one", begin)
	}
	r, err := c.in(l)
	if err != nil {
		return r, err
	}
	there, err := c.world.Exists(ctx, r.namespace)
	if err != nil {
		return r, err
	}
	if !there || !r.record.Active(c.profile) {
		return r, fault.Newf(fault.ObjectNotFound, "namespace %s of %s %q is gone", r.namespace, c.thing(), name).Advise("start it again", c.verb("start").On(name))
	}
	return r, nil
}

// need refuses a lesson for which the cluster is too small.
func (c *class) need(l learn.Lesson) error {
	if missing := l.Nodes - len(c.spec.Nodes); missing > 0 {
		return fault.Newf(fault.Usage, "%s %q needs %d nodes; cluster %q has %d", c.thing(), l.Name, l.Nodes, c.profile, len(c.spec.Nodes)).
			Advise("add what is missing", cluster.Bonsai("node", "add").With("--count", fmt.Sprint(missing)).Change())
	}
	return nil
}

// begin makes what a lesson begins with, again.
func (c *class) begin(ctx context.Context, l learn.Lesson) (room, error) {
	if err := c.need(l); err != nil {
		return room{}, err
	}
	r, err := c.in(l)
	if err != nil {
		return r, err
	}
	if err := c.world.Remove(ctx, r.namespace, l.Name); err != nil {
		return r, err
	}
	r.record = c.progress.Begin(l, c.profile, now())
	if err := c.save(); err != nil { // first of all: reset must know what there is
		return r, err
	}
	return r, r.Prepare(ctx, c.world, r.namespace, wait.FromEnv())
}

// tidy takes away the lesson before, if it is done.
func (c *class) tidy(ctx context.Context, next learn.Lesson) error {
	at := c.progress.Current[c.profile]
	name := at.Lesson
	if next.Fault {
		name = at.Fault
	}
	r := c.progress.Lessons[name]
	if name == "" || name == next.Name || !r.Active(c.profile) || !next.Fault && r.Finished.IsZero() {
		return nil
	}
	return c.world.Remove(ctx, learn.NamespaceOf(name), name)
}

func (a *app) completeLessons(o *learnOptions) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		school, err := o.lessons()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, l := range school.All(o.faults, "en") {
			names = append(names, l.Name+"\t"+l.Title)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
