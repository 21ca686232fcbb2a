package learn

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/nearmiss"
	"bonsai/cmd/bonsai/internal/learn/condition"
)

// School is a set of lessons in some languages.
type School struct {
	lessons map[string]map[string]Lesson // by name, by language
	base    map[string]Lesson            // as their own files have them
}

// Load reads all lessons of a folder and its subfolders. The error joins the mistakes of all files, among them those that Lint
// finds.
func Load(files fs.FS) (*School, error) {
	s := &School{map[string]map[string]Lesson{}, map[string]Lesson{}}
	var translations []Lesson
	where := map[string]string{}
	var errs []error
	err := fs.WalkDir(files, ".", func(file string, e fs.DirEntry, err error) error {
		name := path.Base(file)
		if err != nil || e.IsDir() || path.Ext(name) != ".md" || strings.EqualFold(name, "readme.md") {
			return err
		}
		data, err := fs.ReadFile(files, file)
		if err != nil {
			return err
		}
		l, err := Parse(name, string(data))
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		if strings.Count(name, ".") > 1 {
			translations = append(translations, l)
			return nil
		}
		if other, twice := where[l.Name]; twice {
			errs = append(errs, &Mistaken{file, 1, "there is a lesson of this name in " + other})
		}
		where[l.Name] = file
		errs = append(errs, lint(name, l)...)
		s.base[l.Name] = l
		s.lessons[l.Name] = map[string]Lesson{l.Language: l}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, t := range translations {
		base, ok := s.base[t.Name]
		file := t.Name + "." + t.Language + ".md"
		if !ok {
			errs = append(errs, &Mistaken{file, 1, fmt.Sprintf("there is no lesson %s.md that it translates", t.Name)})
			continue
		}
		translated, err := translate(file, base, t)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.lessons[t.Name][t.Language] = translated
	}
	return s, errors.Join(errs...)
}

// All are the lessons, or the faults, in their order, in the language if there is a translation.
func (s *School) All(faults bool, language string) []Lesson {
	var list []Lesson
	for name, l := range s.base {
		if l.Fault == faults {
			list = append(list, s.in(name, language))
		}
	}
	slices.SortFunc(list, func(a, b Lesson) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Order, b.Order), strings.Compare(a.Name, b.Name))
	})
	return list
}

// Languages are those that a lesson has.
func (s *School) Languages(name string) []string {
	var list []string
	for language := range s.lessons[name] {
		list = append(list, language)
	}
	slices.Sort(list)
	return list
}

func (s *School) in(name, language string) Lesson {
	if l, ok := s.lessons[name][language]; ok {
		return l
	}
	return s.base[name]
}

// Find returns a lesson or fault by name.
func (s *School) Find(name, language string) (Lesson, bool) {
	_, ok := s.base[name]
	return s.in(name, language), ok
}

// Like is the name that was probably meant; "" if none is similar.
func (s *School) Like(name string, faults bool) string {
	var names []string
	for n, l := range s.base {
		if l.Fault == faults {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return nearmiss.Nearest(name, names)
}

// translate gives a lesson the texts of its translation.
func translate(file string, base, t Lesson) (Lesson, error) {
	var errs []error
	same := func(step, what string, of, is int) bool {
		if of != is {
			errs = append(errs, &Mistaken{file, 1, fmt.Sprintf("%shas %d %s, the lesson has %d", step, is, what, of)})
		}
		return of == is
	}
	out := base
	out.Language, out.Title, out.Intro = t.Language, t.Title, t.Intro
	out.Steps = slices.Clone(base.Steps)
	if !same("it ", "steps", len(base.Steps), len(t.Steps)) {
		return out, errors.Join(errs...)
	}
	for i, from := range t.Steps {
		to, where := out.Steps[i], fmt.Sprintf("step %d ", i+1)
		to.Title, to.Text, to.Done, to.Hints = from.Title, from.Text, from.Done, from.Hints
		same(where, "hints", len(base.Steps[i].Hints), len(from.Hints))
		same(where, "parts ## done with a text", min(1, len(base.Steps[i].Done)), min(1, len(from.Done)))
		if same(where, "checks", len(to.Checks), len(from.Checks)) {
			to.Checks = slices.Clone(to.Checks)
			for k := range to.Checks {
				to.Checks[k].Text = from.Checks[k].Text
			}
		}
		if same(where, "mistakes", len(to.Mistakes), len(from.Mistakes)) {
			to.Mistakes = slices.Clone(to.Mistakes)
			for k := range to.Mistakes {
				to.Mistakes[k].Text = from.Mistakes[k].Text
			}
		}
		out.Steps[i] = to
	}
	return out, errors.Join(errs...)
}

// lint finds what is wrong with a lesson that can be read.
func lint(file string, l Lesson) []error {
	var errs []error
	fail := func(line int, format string, args ...any) {
		errs = append(errs, &Mistaken{file, line, fmt.Sprintf(format, args...)})
	}
	if len(l.Steps) == 0 {
		fail(1, "it has no step: a step begins with # and its title")
	}
	if l.Fault && (len(l.Setup) == 0 || len(l.Steps) != 1 || l.Level == 0) {
		fail(1, "a fault has a setup, one step and a level")
	}
	manifest := func(line int, text string) {
		if _, err := Documents(text); err != nil {
			fail(line, "%v", err)
		}
	}
	for _, m := range l.Setup {
		manifest(m.Line, m.YAML)
	}
	action := func(a Action) {
		if a.Manifest != "" {
			manifest(a.Line, a.Manifest)
			return
		}
		words, err := a.Words()
		if err == nil && words[0] != "k" && words[0] != "bonsai" {
			err = fmt.Errorf("%q is neither a command of kubectl, which begins with k, nor of bonsai", a.Command)
		}
		if err != nil {
			fail(a.Line, "%v", err)
		}
	}
	for _, s := range l.Steps {
		if len(s.Checks) == 0 {
			fail(1, "step %q has no check", s.Title)
		}
		if len(s.Solution) == 0 {
			fail(1, "step %q has no solution", s.Title)
		}
		if len(s.Hints) == 0 {
			fail(1, "step %q has no hint", s.Title)
		}
		if l.Fault && len(s.Done) == 0 {
			fail(1, "a fault has a part ## done, which explains it")
		}
		for _, a := range s.Solution {
			action(a)
		}
		for _, m := range s.Mistakes {
			for _, a := range m.Made {
				action(a)
			}
		}
	}
	return errs
}

// Documents are the objects of a manifest. Each has a kind that conditions know, and a name.
func Documents(text string) ([]condition.Object, error) {
	var all []condition.Object
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		var o condition.Object
		if err := d.Decode(&o); err != nil {
			if len(all) > 0 && errors.Is(err, io.EOF) {
				return all, nil
			}
			if errors.Is(err, io.EOF) {
				return nil, errors.New("the manifest has no object")
			}
			return nil, fmt.Errorf("the manifest is not YAML: %w", err)
		}
		if o == nil {
			continue
		}
		version, _ := o["apiVersion"].(string)
		kind, _ := o["kind"].(string)
		if _, ok := condition.KindOf(version, kind); !ok {
			return nil, fmt.Errorf("lessons have no objects of apiVersion %q and kind %q", version, kind)
		}
		metadata, _ := o["metadata"].(map[string]any)
		if name, _ := metadata["name"].(string); name == "" {
			return nil, fmt.Errorf("an object of kind %s has no metadata.name", kind)
		}
		all = append(all, o)
	}
}
