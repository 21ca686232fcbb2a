// Package hostdns has this machine's own resolver send the names of a cluster to the cluster's resolver on loopback, and takes
// that back. Which programs resolve names differs: systemd-resolved, dnsmasq (NetworkManager's or the machine's), macOS. Each can
// send only some domains elsewhere, and only that is used: a machine whose resolver cannot is left as it is.
//
// Files and commands are functions of values (Find, Config.Script); Apply and Remove put them in place. Begin reading at Find.
package hostdns

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

const (
	// delegateVersion is the first of systemd with files for single domains (systemd.dns-delegate(5)).
	delegateVersion = 258
	// linkVersion is the first with which it was seen that an interface can have a server on loopback (Debian 12). Older ones send
	// what they ask through the interface itself.
	linkVersion = 252

	delegateDir, nmDir, dnsmasqDir, macDir = "/etc/systemd/dns-delegate.d", "/etc/NetworkManager/dnsmasq.d", "/etc/dnsmasq.d", "/etc/resolver"

	localhost = "localhost"
)

// Machine is what resolves names on a machine.
type Machine struct {
	OS string
	// Resolved says that programs ask systemd-resolved, of that version (0: unknown).
	Resolved bool
	Version  int
	// NetworkManager says that they ask the dnsmasq that NetworkManager runs, DNSMasq that they ask the machine's own.
	NetworkManager, DNSMasq bool
	// Link is this machine's interface in the nodes' network, empty if there is none.
	Link string
}

// Names are what the machine is to ask for, and where.
type Names struct {
	Cluster, ID string
	Port        int
	Domains     []string
}

// File is a file of the machine, to be read by all.
type File struct{ Path, Content string }

// Config is what makes a machine ask.
type Config struct {
	// Manager is what asks.
	Manager string `json:"manager"`
	Files   []File `json:"-"`
	// Set are the commands that have to follow when the files are there, Unset those when they are gone.
	Set   [][]string `json:"-"`
	Unset [][]string `json:"-"`
	// Lasting says that it outlasts a restart of the machine.
	Lasting bool `json:"lasting"`
}

// base is the beginning of the names of a cluster's files: two clusters may have one name.
func (n Names) base() string { return "bonsai-" + n.Cluster + "-" + n.ID[:min(len(n.ID), 8)] }

// Find returns what makes this machine ask for the names. Where nothing can, the fault says what else there is.
func Find(m Machine, n Names) (Config, error) {
	server := "127.0.0.1:" + strconv.Itoa(n.Port)
	const head = "# Written by bonsai for the names of cluster %s; taken back by:  bonsai dns host disable\n"
	note := fmt.Sprintf(head, n.Cluster)
	route := make([]string, 0, len(n.Domains))
	for _, d := range n.Domains {
		route = append(route, "~"+d) // a domain to route by, and not to complete names with
	}
	switch {
	case m.OS == "darwin":
		c := Config{Manager: "macOS", Lasting: true}
		for i, d := range withLocalhost(n.Domains) {
			c.Files = append(c.Files, File{path.Join(macDir, n.base()+"-"+strconv.Itoa(i)), fmt.Sprintf("%sdomain %s\nnameserver 127.0.0.1\nport %d\ntimeout 2\n", note, d, n.Port)})
		}
		return c, nil // it notices new files
	case m.Resolved && m.Version >= delegateVersion:
		reload := [][]string{{"systemctl", "reload", "systemd-resolved"}}
		return Config{Manager: "systemd-resolved", Lasting: true, Set: reload, Unset: reload, Files: []File{{
			path.Join(delegateDir, n.base()+".dns-delegate"), fmt.Sprintf("%s[Delegate]\nDNS=%s\nDomains=%s\n", note, server, strings.Join(route, " ")),
		}}}, nil
	case m.Resolved && m.Link != "" && m.Version >= linkVersion:
		return Config{
			Manager: "systemd-resolved",
			Set: [][]string{
				{"resolvectl", "dns", m.Link, server}, append([]string{"resolvectl", "domain", m.Link}, route...), {"resolvectl", "default-route", m.Link, "false"},
			},
			Unset: [][]string{{"resolvectl", "revert", m.Link}},
		}, nil
	case m.Resolved:
		// What it has besides, servers in resolved.conf, would be asked for every name of the machine.
		return Config{}, fault.Newf(fault.Usage, "systemd-resolved of version %d cannot send single domains to 127.0.0.1 on this machine", m.Version).
			Advise("use names that need nothing of this kind", cluster.Bonsai("service"))
	case m.NetworkManager:
		reload := [][]string{{"nmcli", "general", "reload", "dns-full"}}
		return Config{Manager: "NetworkManager's dnsmasq", Lasting: true, Set: reload, Unset: reload, Files: []File{{path.Join(nmDir, n.base()+".conf"), note + dnsmasq(n)}}}, nil
	case m.DNSMasq:
		restart := [][]string{{"systemctl", "restart", "dnsmasq"}}
		return Config{Manager: "dnsmasq", Lasting: true, Set: restart, Unset: restart, Files: []File{{path.Join(dnsmasqDir, n.base()+".conf"), note + dnsmasq(n)}}}, nil
	}
	return Config{}, fault.Newf(fault.Usage, "nothing on this machine can send single domains to another resolver: it has neither systemd-resolved nor dnsmasq").
		Advise("use names that need nothing of this kind", cluster.Bonsai("service")).
		Advise("ask the resolver directly", cluster.Program("dig", "@127.0.0.1", "-p", strconv.Itoa(n.Port), "NAME").Fill("NAME"))
}

// withLocalhost adds the domain below which Services have names: systemd-resolved knows that these are this machine, others do not.
func withLocalhost(domains []string) []string { return append(slices.Clone(domains), localhost) }

// dnsmasq is a configuration of dnsmasq(8). Addresses of private networks are what these names have.
func dnsmasq(n Names) string {
	var b strings.Builder
	for _, d := range withLocalhost(n.Domains) {
		fmt.Fprintf(&b, "server=/%s/127.0.0.1#%d\nrebind-domain-ok=/%s/\n", d, n.Port, d)
	}
	return b.String()
}

// Script is what root has to type to put it in place, for sh.
func (c Config) Script() string {
	var b strings.Builder
	made := map[string]bool{}
	for _, f := range c.Files {
		if dir := path.Dir(f.Path); !made[dir] {
			made[dir] = true
			fmt.Fprintf(&b, "mkdir -p %s\n", quote(dir))
		}
		fmt.Fprintf(&b, "cat >%s <<'END'\n%sEND\n", quote(f.Path), f.Content)
	}
	return b.String() + script(c.Set)
}

// UndoScript is what root has to type to take it back.
func (c Config) UndoScript() string {
	var b strings.Builder
	for _, f := range c.Files {
		fmt.Fprintf(&b, "rm -f %s\n", quote(f.Path))
	}
	return b.String() + script(c.Unset)
}

// Undo are the commands of UndoScript, for advice.
func (c Config) Undo() []cluster.Command {
	var list []cluster.Command
	if len(c.Files) > 0 {
		rm := []string{"rm", "-f"}
		for _, f := range c.Files {
			rm = append(rm, f.Path)
		}
		list = append(list, cluster.Program("sudo", rm...).Change())
	}
	for _, words := range c.Unset {
		list = append(list, cluster.Program("sudo", words...).Change())
	}
	return list
}

func script(commands [][]string) string {
	var b strings.Builder
	for _, words := range commands {
		for i, w := range words {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(quote(w))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// quote quotes a word for sh, if it needs that.
func quote(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:=+") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
