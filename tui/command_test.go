package tui

import (
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
)

// TestCommandsToCopyQuoteNames: what a shell would read in a name stands in quotes, and what a tool would read as an
// option behind two dashes.
func TestCommandsToCopyQuoteNames(t *testing.T) {
	const evil = "w`{touch,/tmp/x}`\n; reboot"
	const quoted = "\"$(printf 'w`{touch,/tmp/x}`\\012; reboot')\""
	role := kube.ResourceType{Group: "rbac.authorization.k8s.io", Resource: "roles", Kind: "Role", Namespaced: true}
	pod := kube.Object{Kind: "Pod", Name: evil}
	for want, c := range map[string]cluster.Command{
		"bonsai kubectl -p dev -- delete role " + quoted + " -n shop": actionCommand(kube.Action{
			Verb: kube.VerbDelete, Ref: kube.Ref{Type: role, Namespace: "shop", Name: evil},
		}),
		"bonsai kubectl -p dev -- scale role -n '$x' --replicas 0 -- -web": actionCommand(kube.Action{
			Verb: kube.VerbScale, Ref: kube.Ref{Type: role, Namespace: "$x", Name: "-web"},
		}),
		"bonsai kubectl -p dev -- cordon " + quoted: actionCommand(kube.Action{Verb: kube.VerbCordon, Ref: kube.Ref{Type: kube.NodeType(), Name: evil}}),
		"bonsai kubectl -p dev -- edit roles.rbac.authorization.k8s.io 'system:a|sh' -n shop": editCommand(
			kube.Ref{Type: role, Namespace: "shop", Name: "system:a|sh"}),
		"bonsai kubectl -p dev -- port-forward \"$(printf 'pod/w`{touch,/tmp/x}`\\012; reboot')\" 8080:80 -n shop": forwardCommand(
			kube.ForwardSpec{Namespace: "shop", Target: pod, Local: 8080, Remote: 80}),
		"bonsai kubectl -p dev -- exec " + quoted + " -n shop -it -c 'a b' -- sh": shellCommandLine(
			kube.Exec{Namespace: "shop", Pod: evil, Container: "a b"}),
		"bonsai ssh " + quoted + " -p dev":                           shellCommandLine(kube.Exec{Node: evil}),
		"bonsai dns query -p dev --trace --from 'shop/a;b' -- -evil": lookupCommand("-evil", "shop/a;b"),
		"bonsai kubectl -p dev -- get pods '$HOME'":                  bonsaiCommand("kubectl", "--", "get", "pods", "$HOME"),
		"bonsai start -p dev --nodes 3":                              bonsaiCommand("start", "--nodes", "3"),
	} {
		if got := c.For("dev").String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
