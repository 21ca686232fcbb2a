package diagnose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

// advise is the only thing to do.
func advise(text string, commands ...cluster.Command) []cluster.Advice {
	return []cluster.Advice{cluster.Advise(text, commands...)}
}

// logOf shows what a container says.
func logOf(c container) cluster.Command {
	return cluster.Kubectl("logs").On(c.pod.Name).In(c.pod.Namespace).With("-c", c.spec.Name)
}

func podName(p *corev1.Pod) string { return p.Namespace + "/" + p.Name }

// controller is the controlling owner among refs, else self.
func controller(namespace string, refs []metav1.OwnerReference, self owner) owner {
	for _, r := range refs {
		if r.Controller != nil && *r.Controller {
			return owner{strings.ToLower(r.Kind), namespace, r.Name}
		}
	}
	return self
}

// count is "3 pods".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// times is how often something happened, in words that can follow it.
func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return strconv.Itoa(n) + " times"
}

// listed is "a, b and c", with at most some of many.
func listed(all []string) string {
	const most = 4
	if len(all) > most {
		return strings.Join(all[:most], ", ") + " and " + strconv.Itoa(len(all)-most) + " more"
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

// amount formats a quantity of a resource as people write it.
func amount(r corev1.ResourceName, q resource.Quantity) string {
	switch {
	case r == corev1.ResourceCPU:
		return strconv.FormatFloat(float64(q.MilliValue())/1000, 'f', -1, 64)
	case r == corev1.ResourceMemory || r == corev1.ResourceEphemeralStorage || r == corev1.ResourceStorage || strings.HasPrefix(string(r), corev1.ResourceHugePagesPrefix):
		return bytes(q.Value())
	}
	return q.String()
}

// bytes formats "2.6Gi"; it rounds down, so that free space is never overstated.
func bytes(n int64) string {
	if n < 0 {
		return "0"
	}
	unit, units := int64(1), []string{"", "Ki", "Mi", "Gi", "Ti", "Pi"}
	i := 0
	for n/unit >= 1024 && i < len(units)-1 {
		unit *= 1024
		i++
	}
	tenths := n / unit * 10
	tenths += n % unit * 10 / unit
	if tenths%10 == 0 || tenths >= 1000 {
		return strconv.FormatInt(tenths/10, 10) + units[i]
	}
	return fmt.Sprintf("%d.%d%s", tenths/10, tenths%10, units[i])
}

// oneLine is a message of a component, shortened to one line.
func oneLine(text string) string {
	return clip(strings.Join(strings.Fields(text), " "), 400)
}

// clip cuts a text that is too long.
func clip(text string, most int) string {
	r := []rune(text)
	if len(r) <= most {
		return text
	}
	return string(r[:most-1]) + "…"
}

// after returns what follows the first of the marks that text has.
func after(text string, marks ...string) (string, bool) {
	for _, m := range marks {
		if _, rest, ok := strings.Cut(text, m); ok {
			return rest, true
		}
	}
	return "", false
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(text, p) })
}

// between returns the first text between two marks, "" if there is none.
func between(text, begin, end string) string {
	rest, ok := after(text, begin)
	if !ok {
		return ""
	}
	inside, _, ok := strings.Cut(rest, end)
	if !ok {
		return ""
	}
	return inside
}
