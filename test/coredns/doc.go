// Package coredns compares bonsai's DNS server with CoreDNS: the same objects, the same questions, and replies that may
// not differ. It has a go.mod of its own, so that CoreDNS has no say in the versions that bonsai links.
//
// Below bench the two are measured side by side; cmd holds the programs that are measured.
package coredns
