package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answered is what was answered to a request.
type answered struct {
	status int // 0 if nothing was
	bytes  int64
	// began says that some of an answer has come, keep that the backend's connection may be used again.
	began, keep bool
}

// answer sends a request to a backend and passes on the answer.
func (c *simpleConn) answer(to *plainConn, a *answered) error {
	if _, err := to.Conn.Write(c.out); err != nil {
		return err
	}
	head, err := to.peekHead()
	if err != nil {
		a.began = to.in.Buffered() > 0
		return err
	}
	a.began = true
	if head == nil || !c.reply.read(head, c.req.Method == http.MethodHead) {
		return c.translate(to, a)
	}
	out := append(c.out[:0], c.reply.line.of(head)...)
	for _, f := range c.reply.fields {
		out = append(out, f.line.of(head)...)
	}
	if !c.reply.dated {
		out = appendDate(out)
	}
	out = append(out, "\r\n"...)
	if _, err := to.in.Discard(len(head)); err != nil {
		return err
	}
	body, err := to.in.Peek(int(min(c.reply.length, int64(to.in.Buffered()))))
	if err != nil {
		return err
	}
	c.out = append(out, body...)
	if _, err := to.in.Discard(len(body)); err != nil {
		return err
	}
	a.status, a.bytes = c.reply.status, int64(len(body))
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	if err := c.rest(to, c.reply.length-int64(len(body)), a); err != nil {
		return err
	}
	a.keep = to.in.Buffered() == 0 // more than there is to be is not another answer
	return nil
}

// rest passes on what of a body has not been read yet.
func (c *simpleConn) rest(to *plainConn, left int64, a *answered) error {
	if left >= spliceFrom {
		n, err := io.Copy(c.conn, io.LimitReader(to.Conn, left))
		a.bytes += n
		if err == nil && n < left {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if left == 0 {
		return nil
	}
	buffer := c.of.buffers.Get()
	defer c.of.buffers.Put(buffer)
	for left > 0 {
		n, err := to.Conn.Read(buffer[:min(left, int64(len(buffer)))])
		if n == 0 && err != nil {
			return err
		}
		if n, err = c.conn.Write(buffer[:n]); err != nil {
			return err
		}
		a.bytes += int64(n)
		left -= int64(n)
	}
	return nil
}

// translate passes on an answer that is not as simple as the request: of unknown length, with trailers, after informational ones, or
// with a header that is long or about the connection.
func (c *simpleConn) translate(to *plainConn, a *answered) error {
	to.left = maxResponseHeader
	for informational := 0; ; informational++ {
		resp, err := http.ReadResponse(to.in, &http.Request{Method: c.req.Method})
		if err != nil {
			return err
		}
		dropHopByHop(resp.Header)
		switch {
		case resp.StatusCode >= http.StatusOK:
			to.left = -1
			return c.pass(resp, to, a)
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return errors.New("the backend changes the protocol, which nobody has asked for")
		case informational == mostInformational:
			return errors.New("too many informational answers")
		}
		c.out = appendHead(c.out[:0], resp.StatusCode, resp.Header)
		if _, err := c.conn.Write(c.out); err != nil {
			return err
		}
	}
}

// pass writes the final answer.
func (c *simpleConn) pass(resp *http.Response, to *plainConn, a *answered) error {
	defer resp.Body.Close()
	a.status = resp.StatusCode
	chunked := resp.ContentLength < 0 && resp.Body != http.NoBody
	if chunked {
		resp.Header.Del("Content-Length")
		resp.Header.Set("Transfer-Encoding", "chunked")
		if len(resp.Trailer) > 0 {
			resp.Header.Set("Trailer", strings.Join(slices.Sorted(maps.Keys(resp.Trailer)), ", "))
		}
	}
	if resp.Header.Get("Date") == "" {
		resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	c.out = appendHead(c.out[:0], resp.StatusCode, resp.Header)
	buffer := c.of.buffers.Get()
	defer c.of.buffers.Put(buffer)
	for ended := resp.Body == http.NoBody; ; {
		if ended || to.in.Buffered() == 0 { // what there is does not wait for more
			if _, err := c.conn.Write(c.out); err != nil {
				return err
			}
			c.out = c.out[:0]
		}
		if ended {
			break
		}
		n, err := resp.Body.Read(buffer)
		a.bytes += int64(n)
		if n > 0 && chunked {
			c.out = append(strconv.AppendInt(c.out, int64(n), 16), "\r\n"...)
		}
		if c.out = append(c.out, buffer[:n]...); n > 0 && chunked {
			c.out = append(c.out, "\r\n"...)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			_, _ = c.conn.Write(c.out) // what there is, without an end
			return err
		}
		if ended = err != nil; ended && chunked {
			c.out = append(c.out, "0\r\n"...)
			c.out = append(appendHeader(c.out, resp.Trailer), "\r\n"...)
		}
	}
	a.keep = !resp.Close && to.in.Buffered() == 0
	return nil
}

// refuse answers in the name of the data plane, for the last time on a connection.
func (c *simpleConn) refuse(a *answered, text string) {
	text = "bonsai gateway: " + text + "\n"
	c.out = appendHead(c.out[:0], a.status, http.Header{
		"Content-Type": {"text/plain; charset=utf-8"}, "X-Content-Type-Options": {"nosniff"}, "Connection": {"close"},
		"Content-Length": {strconv.Itoa(len(text))}, "Date": {time.Now().UTC().Format(http.TimeFormat)},
	})
	if c.req.Method != http.MethodHead {
		c.out = append(c.out, text...)
		a.bytes = int64(len(text))
	}
	_, _ = c.conn.Write(c.out)
}

func appendDate(out []byte) []byte {
	out = append(out, "Date: "...)
	return append(time.Now().UTC().AppendFormat(out, http.TimeFormat), "\r\n"...)
}

func appendHead(out []byte, status int, h http.Header) []byte {
	out = fmt.Appendf(out, "HTTP/1.1 %03d %s\r\n", status, http.StatusText(status))
	return append(appendHeader(out, h), "\r\n"...)
}

func appendHeader(out []byte, h http.Header) []byte {
	w := bytes.NewBuffer(out)
	_ = h.Write(w) // to memory
	return w.Bytes()
}
