// Package coredns compares bonsai's DNS server with CoreDNS: the same objects, the same questions, and replies that may
// not differ. It has its own go.mod, so that CoreDNS does not influence the versions that bonsai links.
//
// Below bench the two are measured side by side; cmd contains the programs that are measured.
package coredns
