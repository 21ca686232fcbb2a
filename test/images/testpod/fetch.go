package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// fetch sends N requests to each target and prints one line per answer, in order: "TARGET ok ANSWER" or "TARGET failed
// CAUSE". A request without an answer is repeated until the limit, because rules of a new Service take a moment. Each
// request uses its own connection. It fails if any target failed.
func fetch(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("fetch", flag.ContinueOnError)
	n := flags.Int("n", 1, "questions per target")
	limit := flags.Duration("limit", 20*time.Second, "for each question")
	size := flags.Int("size", 1, "bytes of each datagram")
	if err := flags.Parse(args); err != nil {
		return err
	}
	lines := make([][]string, flags.NArg())
	failed := make([]bool, flags.NArg())
	var wg sync.WaitGroup
	for i, target := range flags.Args() {
		wg.Go(func() {
			for range *n {
				answer, err := askUntil(ctx, target, *size, *limit)
				if err != nil {
					lines[i] = append(lines[i], fmt.Sprintf("%s failed %v", target, err))
					failed[i] = true
					return
				}
				lines[i] = append(lines[i], fmt.Sprintf("%s ok %s", target, answer))
			}
		})
	}
	wg.Wait()
	var err error
	for i := range lines {
		fmt.Println(strings.Join(lines[i], "\n"))
		if failed[i] {
			err = errors.New("some targets failed")
		}
	}
	return err
}

func askUntil(ctx context.Context, target string, size int, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		once, done := context.WithTimeout(ctx, 2*time.Second)
		answer, err := ask(once, target, size)
		done()
		if err == nil {
			return answer, nil
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func ask(ctx context.Context, target string, size int) (string, error) {
	u, err := url.Parse(target)
	if err != nil {
		return "", err
	}
	switch u.Scheme {
	case "tcp":
		return talk(ctx, "tcp", u.Host, []byte("hello\n"))
	case "udp":
		return talk(ctx, "udp", u.Host, bytes.Repeat([]byte{'x'}, size))
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // the tests check which pod answers
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", resp.Status, body)
	}
	if len(body) > 1000 {
		return fmt.Sprintf("%d bytes", len(body)), nil
	}
	return strings.TrimSpace(string(body)), nil
}

// talk sends a line and reads one line; of a datagram it prints the size if that is larger.
func talk(ctx context.Context, network, address string, question []byte) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := conn.Write(question); err != nil {
		return "", err
	}
	reader := bufio.NewReaderSize(conn, 64<<10)
	line, err := reader.ReadString('\n')
	if err != nil {
		return "", err
	}
	if rest := reader.Buffered(); network == "udp" && rest > 0 {
		return fmt.Sprintf("%s %d bytes", strings.TrimSpace(line), len(line)+rest), nil
	}
	return strings.TrimSpace(line), nil
}
