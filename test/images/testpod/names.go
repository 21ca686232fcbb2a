package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// names is a DNS server on UDP 8053 that plays the DNS server of a company: it answers every A question with -address,
// and every TXT question with the address that asked, so that a test sees the path of a question. Names with a label
// "gone" do not exist.
func names(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("names", flag.ContinueOnError)
	address := flags.String("address", "192.0.2.1", "what every name leads to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ip := net.ParseIP(*address).To4()
	if ip == nil {
		return fmt.Errorf("%s is not an IPv4 address", *address)
	}
	conn, err := net.ListenPacket("udp", ":8053")
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if reply, err := answerName(buf[:n], [4]byte(ip), from.String()); err == nil {
			_, _ = conn.WriteTo(reply, from) // the client asks again
		}
	}
}

func answerName(question []byte, ip [4]byte, from string) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(question)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q},
	}
	record := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 5}
	switch {
	case strings.Contains("."+q.Name.String(), ".gone."):
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{Header: record, Body: &dnsmessage.AResource{A: ip}}}
	case q.Type == dnsmessage.TypeTXT:
		m.Answers = []dnsmessage.Resource{{Header: record, Body: &dnsmessage.TXTResource{TXT: []string{from}}}}
	}
	return m.Pack()
}
