package kinds

import (
	"fmt"
	"strings"
)

// Page is docs/problems.md.
func Page() string {
	var b strings.Builder
	b.WriteString(`# Problems

Everything that bonsai reports as wrong has a kind. Kinds are stable: scripts can rely on them. They are in the JSON of an
error and of a problem (` + "`\"kind\"`" + `). ` + "`bonsai explain KIND`, or `bonsai explain EXIT-CODE`" + `, prints what is written here; the advice
for a case comes with the problem itself.

This page is made from the source by ` + "`go test ./bootstrap/kinds -update`" + `.

- [Errors of commands, and exit codes](#errors-of-commands-and-exit-codes)
- [What doctor finds](#what-doctor-finds)
- [What status reports about clusters and workloads](#what-status-reports-about-clusters-and-workloads)

## Errors of commands, and exit codes

| code | kind | |
|---|---|---|
| 0 | | done |
`)
	all := All()
	for _, k := range all {
		if k.Group == Command {
			fmt.Fprintf(&b, "| %d | [%s](#%s) | %s |\n", k.Code, k.Name, strings.ToLower(k.Name), k.Means)
		}
	}
	b.WriteString("\n`bonsai kubectl` and `bonsai ssh -- COMMAND` exit with the code of what they ran.\n")
	write := func(k Kind) {
		more := ""
		if k.More != "" {
			more = "\n\n" + strings.TrimSpace(k.More)
		}
		code := ""
		if k.Code > 0 {
			code = fmt.Sprintf("Exit code %d: ", k.Code)
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s%s.%s\n", k.Name, code, k.Means, more)
	}
	for _, k := range all {
		if k.Group == Command {
			write(k)
		}
	}
	b.WriteString(`
## What doctor finds

` + "[`bonsai doctor`](doctor.md)" + ` also reports kinds of the first part, such as EngineDown and MachineLimit.
`)
	for _, k := range all {
		if k.Group == Machine {
			write(k)
		}
	}
	b.WriteString(`
## What status reports about clusters and workloads

` + "`bonsai status`" + ` and the terminal UI show what is wrong in the cluster, why, and what to type, most serious first. Problems do
not change the exit code, which is about the cluster itself. [Troubleshooting](troubleshooting.md#what-status-reports-about-workloads)
says how they are found.

| kind | what is reported |
|---|---|
`)
	for _, k := range all {
		if k.Group == Cluster {
			fmt.Fprintf(&b, "| `%s` | %s |\n", k.Name, k.Means)
		}
	}
	return b.String()
}
