package corefile

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxRegex bounds the patterns that a configuration may hold; CoreDNS has the same limit.
const maxRegex = 10_000

// offered is the hint of a message about an unknown directive.
const offered = "supported directives: cache, errors, forward, health, hosts, import, kubernetes, loadbalance, log, loop, prometheus, ready, reload, rewrite, template"

// directive adds one directive of a server block to the Config.
func (b *builder) directive(s *block, n node) {
	if usesEnvironment(n) {
		b.problems.add(n.where, "write the value into the text", "%s: environment variables are not replaced; the directive is ignored", n)
		return
	}
	switch n.name() {
	case "kubernetes":
		b.kubernetesDirective(s, n)
	case "forward":
		b.forwardDirective(s, n)
	case "cache":
		b.cacheDirective(s, n)
	case "hosts":
		b.hostsDirective(s, n)
	case "rewrite":
		b.rewriteDirective(s, n)
	case "template":
		b.templateDirective(s, n)
	case "log":
		b.logDirective(s, n)
	case "loadbalance":
		// Addresses are always rotated.
		if !slices.Contains([]string{"", "round_robin"}, strings.Join(n.args(), " ")) || len(n.body) > 0 {
			b.problems.add(n.where, "", "%s: addresses are rotated, without weights and preferences", n)
		}
	case "health":
		b.endpoint(n, "8080")
	case "ready":
		b.endpoint(n, "8181")
	case "prometheus":
		b.endpoint(n, "9153")
	case "errors", "reload", "loop":
		// Errors are always logged, loops always cut, and a changed ConfigMap is always applied, at once.
	case "any", "cancel", "local", "minimal", "multisocket", "shed", "timeouts":
		// What these configure is how this server works anyway.
	case "bufsize":
		if len(n.words) > 1 && n.words[1] != "1232" {
			b.problems.addNote(n.where, "%s: answers over UDP hold 1232 bytes at most", n)
		}
	case "transfer":
		b.problems.add(n.where, "", "transfer: zone transfers are refused; the directive is ignored")
	case "autopath":
		b.problems.add(n.where, "", "autopath: search paths are not followed for pods, since denials cost next to nothing; the directive is ignored")
	default:
		b.problems.add(n.where, offered, "%s: unknown plugin %q; the directive is ignored", n, shorten(n.name()))
	}
}

// usesEnvironment finds {$NAME} and {%NAME%}, but not the variables of a template, {{$x}}.
func usesEnvironment(n node) bool {
	for _, w := range n.words {
		w = strings.ReplaceAll(w, "{{$", "")
		if strings.Contains(w, "{$") || strings.Contains(w, "{%") {
			return true
		}
	}
	return slices.ContainsFunc(n.body, usesEnvironment)
}

// endpoint accepts a plugin that serves HTTP. The address of this server is fixed.
func (b *builder) endpoint(n node, port string) {
	if len(n.words) < 2 {
		return
	}
	if !strings.HasSuffix(n.words[1], ":"+port) {
		b.problems.addNote(n.where, "%s: metrics and health are served on port 9153 of each node", n)
	}
}

// logDirective reads: log [NAMES...] [FORMAT] { class CLASSES... }
func (b *builder) logDirective(s *block, n node) {
	var l Log
	for _, arg := range n.args() {
		if strings.Contains(arg, "{") {
			if arg != "{common}" && arg != "{combined}" {
				b.problems.addNote(n.where, "%s: the log has one format", n)
			}
			continue
		}
		l.Zones = append(l.Zones, b.zones(n, []string{arg}, nil)...)
	}
	if len(l.Zones) == 0 {
		l.Zones = s.out.Zones
	}
	for _, option := range n.body {
		if option.name() != "class" {
			b.unknownOption(n, option)
			continue
		}
		for _, class := range option.args() {
			switch class {
			case "success":
				l.Success = true
			case "denial":
				l.Denial = true
			case "error":
				l.Error = true
			case "all":
				l.Success, l.Denial, l.Error = true, true, true
			default:
				b.problems.add(option.where, "classes are success, denial, error and all", "log: %q is not a class of answers; it is ignored", shorten(class))
			}
		}
	}
	if !l.Success && !l.Denial && !l.Error {
		l.Success, l.Denial, l.Error = true, true, true
	}
	s.out.Logs = append(s.out.Logs, l)
}

// zones reads the zones that a directive names, or returns otherwise if it names none.
func (b *builder) zones(n node, words, otherwise []string) []string {
	if len(words) == 0 {
		return otherwise
	}
	var all []string
	for _, word := range words {
		zones, _, err := parseZone(word)
		if err != nil {
			b.problems.add(n.where, "", "%s: %v; the zone is ignored", n, err)
			continue
		}
		for _, zone := range zones {
			if !slices.Contains(all, zone) {
				all = append(all, zone)
			}
		}
	}
	return all
}

// fallthroughZones reads the option "fallthrough [ZONES...]".
func (b *builder) fallthroughZones(option node) []string {
	return b.zones(option, option.args(), []string{"."})
}

func (b *builder) unknownOption(n, option node) {
	b.problems.add(option.where, "", "%s: the option %s is not supported; it is ignored", n.name(), option)
}

// number reads an option's only argument, a number within bounds; ok is false after a problem.
func (b *builder) number(n, option node, low, high int) (value int, ok bool) {
	if len(option.words) == 2 {
		if v, err := strconv.Atoi(option.words[1]); err == nil && v >= low && v <= high {
			return v, true
		}
	}
	b.problems.add(option.where, "", "%s: %s: needs a number from %d to %d; it is ignored", n.name(), option, low, high)
	return 0, false
}

// maxDuration is longer than anybody needs and short enough to be multiplied.
const maxDuration = 30 * 24 * time.Hour

// duration reads "5s" or, where CoreDNS takes them, seconds without a unit.
func duration(s string) (time.Duration, bool) {
	d, err := time.ParseDuration(s)
	if err != nil {
		seconds, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return 0, false
		}
		d = time.Duration(seconds) * time.Second
	}
	return d, d >= 0 && d <= maxDuration
}

// option reads an option's only argument, a duration; ok is false after a problem.
func (b *builder) duration(n, option node) (time.Duration, bool) {
	if len(option.words) == 2 {
		if d, ok := duration(option.words[1]); ok {
			return d, true
		}
	}
	b.problems.add(option.where, "", "%s: %s: needs a duration like 5s; it is ignored", n.name(), option)
	return 0, false
}
