package cluster

import (
	"encoding/json"
	"slices"
	"strings"

	"bonsai/bootstrap/termsafe"
)

// The tools that a Command knows how to write; any other is a program of this machine.
const (
	ToolBonsai  = "bonsai"
	ToolKubectl = "kubectl" // bonsai's own, which needs no kubeconfig
)

// Command is something to type. It is a value until it is displayed: String adds the cluster, quotes what a shell would
// interpret, and keeps text from a cluster from being read as an option.
type Command struct {
	Tool string `json:"tool"`
	// Verb are the fixed words that say what to do ("image", "load"), Operands to what, Options how; all are in order.
	// Everything that comes from a cluster is an operand, or the value of an option.
	Verb     []string `json:"verb,omitempty"`
	Operands []string `json:"operands,omitempty"`
	Options  []string `json:"options,omitempty"`
	// Inner is a command that this one runs elsewhere; it follows after two dashes.
	Inner *Command `json:"inner,omitempty"`
	// Namespace is that of kubectl; empty for its default, and for what is in none.
	Namespace string `json:"namespace,omitempty"`
	// Cluster is the name of the cluster that bonsai and kubectl work on. While it is empty it is the current one,
	// which Problem.For fills in. Anywhere says that the command is not about any cluster.
	Cluster  string `json:"cluster,omitempty"`
	Anywhere bool   `json:"anywhere,omitempty"`
	// Named writes the cluster's name even if it is DefaultName: the user's own default is another one.
	Named bool `json:"named,omitempty"`
	// Gaps are the words that the user has to replace ("IMAGE"); such a command cannot be run for the user.
	Gaps []string `json:"gaps,omitempty"`
	// Changes says that it changes something.
	Changes bool `json:"changes,omitempty"`
	// Fix says that it is certain to be right: a program that shows the problem may offer to run it.
	Fix bool `json:"fix,omitempty"`
}

// Bonsai returns a bonsai command on the current cluster.
func Bonsai(verb ...string) Command { return Command{Tool: ToolBonsai, Verb: verb} }

// Kubectl returns a kubectl command on the current cluster.
func Kubectl(verb ...string) Command { return Command{Tool: ToolKubectl, Verb: verb} }

// Program returns a command of this machine.
func Program(tool string, verb ...string) Command { return Command{Tool: tool, Verb: verb} }

// On returns the command with operands added.
func (c Command) On(operands ...string) Command {
	c.Operands = slices.Concat(c.Operands, operands)
	return c
}

// With returns the command with options added.
func (c Command) With(options ...string) Command {
	c.Options = slices.Concat(c.Options, options)
	return c
}

// In returns the command for a namespace.
func (c Command) In(namespace string) Command {
	c.Namespace = namespace
	return c
}

// Of returns the command for a cluster that may not be the current one.
func (c Command) Of(cluster string) Command {
	c.Cluster = cluster
	return c
}

// OfNone returns the command for no cluster in particular.
func (c Command) OfNone() Command {
	c.Anywhere = true
	return c
}

// Running returns the command with another one that it runs elsewhere.
func (c Command) Running(inner Command) Command {
	c.Inner = &inner
	return c
}

// Fill returns the command with words named that the user has to replace.
func (c Command) Fill(gaps ...string) Command {
	c.Gaps = slices.Concat(c.Gaps, gaps)
	return c
}

// Change returns the command as one that changes something.
func (c Command) Change() Command {
	c.Changes = true
	return c
}

// Cure returns the command as one that is certain to be right, and changes something.
func (c Command) Cure() Command {
	c.Changes, c.Fix = true, true
	return c
}

// For returns the command with the current cluster filled in.
func (c Command) For(cluster string) Command {
	if c.Cluster == "" && !c.Anywhere && (c.Tool == ToolBonsai || c.Tool == ToolKubectl) {
		c.Cluster = cluster
	}
	return c
}

// Arguments are what the tool gets, without its own name and the cluster's.
func (c Command) Arguments() []string { return c.arguments(nil) }

func (c Command) arguments(profile []string) []string {
	options := slices.Clone(profile)
	if c.Namespace != "" {
		options = append(options, "-n", c.Namespace)
	}
	options = append(options, c.Options...)
	args := slices.Clone(c.Verb)
	if slices.ContainsFunc(c.Operands, func(o string) bool { return strings.HasPrefix(strings.TrimLeft(o, "\x00"), "-") }) {
		args = slices.Concat(args, options, []string{"--"}, c.Operands)
	} else {
		args = slices.Concat(args, c.Operands, options)
	}
	if c.Inner != nil {
		args = slices.Concat(args, []string{"--", c.Inner.Tool}, c.Inner.Arguments())
	}
	return args
}

// Argv is the whole command, as programs are started.
func (c Command) Argv() []string {
	var profile []string
	if c.Cluster != "" && (c.Cluster != DefaultName || c.Named) {
		profile = []string{"-p", c.Cluster}
	}
	if c.Tool == ToolKubectl {
		return slices.Concat([]string{ToolBonsai, ToolKubectl}, profile, []string{"--"}, c.Arguments())
	}
	return slices.Concat([]string{c.Tool}, c.arguments(profile))
}

// String is the command as a line that a POSIX shell reads as Argv.
func (c Command) String() string { return shellLine(c.Argv()) }

func shellLine(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = termsafe.Quote(a)
	}
	return strings.Join(words, " ")
}

// MarshalJSON adds the line, so that only String has to quote.
func (c Command) MarshalJSON() ([]byte, error) {
	type plain Command
	return json.Marshal(struct {
		plain
		Line string `json:"line"`
	}{plain(c), c.String()})
}

// Advice is one thing to do: a phrase, and the commands that do it, in this order. Either may be missing.
type Advice struct {
	// Text is a fixed phrase where possible, so that it can be translated; it does not repeat what Commands say.
	Text     string    `json:"text,omitempty"`
	Commands []Command `json:"commands,omitempty"`
}

// Advise is the short way to write an Advice.
func Advise(text string, commands ...Command) Advice { return Advice{text, commands} }

// Line is what to type, in one line; empty if there is nothing. The line ends at the first command that fails.
func (a Advice) Line() string {
	lines := make([]string, len(a.Commands))
	for i, c := range a.Commands {
		lines[i] = c.String()
	}
	return strings.Join(lines, " && ")
}

// In returns the advice in one line, in the language of say.
func (a Advice) In(say func(english string) string) string {
	line := a.Line()
	switch {
	case a.Text == "":
		return line
	case line == "":
		return say(a.Text)
	}
	text := say(a.Text)
	if strings.HasSuffix(text, "?") || strings.HasSuffix(text, "？") {
		return text + "  " + line
	}
	return text + ":  " + line
}

// String is the advice in English.
func (a Advice) String() string { return a.In(func(s string) string { return s }) }

// For returns the advice with the current cluster filled in.
func (a Advice) For(cluster string) Advice {
	a.Commands = slices.Clone(a.Commands)
	for i := range a.Commands {
		a.Commands[i] = a.Commands[i].For(cluster)
	}
	return a
}

func adviceFor(list []Advice, cluster string) []Advice {
	list = slices.Clone(list)
	for i := range list {
		list[i] = list[i].For(cluster)
	}
	return list
}

// hint is advice as text, one piece a line.
func hint(list []Advice) string {
	lines := make([]string, len(list))
	for i, a := range list {
		lines[i] = a.String()
	}
	return strings.Join(lines, "\n")
}

// adviceFrom reads advice, which older daemons wrote as text alone.
func adviceFrom(list []Advice, hint string) []Advice {
	if len(list) > 0 || hint == "" {
		return list
	}
	for line := range strings.SplitSeq(hint, "\n") {
		list = append(list, Advice{Text: line})
	}
	return list
}

// FixOf is the first command that is certain to be right; false if there is none.
func FixOf(list []Advice) (Command, bool) {
	for _, a := range list {
		for _, c := range a.Commands {
			if c.Fix {
				return c, true
			}
		}
	}
	return Command{}, false
}
