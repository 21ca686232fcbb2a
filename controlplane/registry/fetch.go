package registry

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"sync"

	"bonsai/bootstrap/registrystore"
)

// fetch is a blob on its way from a registry. Everybody who wants it reads along while it comes; it goes on when they leave.
type fetch struct {
	begun    chan struct{} // closed when size and beginErr are set
	size     int64         // -1 if the registry does not say it
	beginErr error
	ended    chan struct{} // closed when everything is there, or it failed

	mu      sync.Mutex // guards the rest
	file    string     // where it is being written
	have    int64
	err     error
	changed chan struct{} // closed and replaced when have or err changes
}

// fetch returns the fetch of a blob, which begins with this call unless it has before.
func (c *cache) fetch(i image, digest string) *fetch {
	key := i.registry + " " + digest
	c.mu.Lock()
	if f, ok := c.fetches[key]; ok {
		c.mu.Unlock()
		return f
	}
	f := &fetch{begun: make(chan struct{}), ended: make(chan struct{}), size: -1, changed: make(chan struct{})}
	c.fetches[key] = f
	c.mu.Unlock()
	forget := func() {
		c.mu.Lock()
		delete(c.fetches, key)
		c.mu.Unlock()
		close(f.ended)
	}
	if !c.begin(func() {
		f.run(c, i, digest)
		forget()
		c.trim()
	}) {
		f.beginErr = errors.New("the cluster is stopping")
		close(f.begun)
		forget()
	}
	return f
}

// run fetches. An endpoint that fails after it has begun to send is not replaced by another: those who read along would have to
// begin again, and so they do.
func (f *fetch) run(c *cache, i image, digest string) {
	ctx, cancel := c.scale.Limit(c.ctx, fetchLimit, i.registry+" to send "+digest)
	defer cancel()
	if size, err := c.store.Size(digest); err == nil { // it has come since the caller looked
		f.size = size
		close(f.begun)
		f.advance(size, io.EOF)
		return
	}
	var received error
	err := c.each(ctx, i, http.MethodGet, "blobs/"+digest, func(resp *http.Response) error {
		received = f.receive(c.store, digest, resp)
		return nil
	})
	if err != nil {
		f.beginErr = err
		close(f.begun)
		return
	}
	if received != nil && ctx.Err() == nil {
		c.log.Warn("a part of an image could not be fetched", "registry", i.registry, "repository", i.repository, "digest", digest, "err", received)
	}
}

// receive keeps what a registry sends.
func (f *fetch) receive(store *registrystore.Store, digest string, resp *http.Response) error {
	u, err := store.Begin()
	if err != nil {
		f.beginErr = err
		close(f.begun)
		return err
	}
	f.file, f.size = u.File(), resp.ContentLength
	close(f.begun)
	err = f.copy(u, resp.Body)
	if err == nil && f.size >= 0 && u.Size() != f.size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = u.Commit(digest)
	} else {
		err = errors.Join(err, u.Abort())
	}
	f.advance(0, cmp.Or(err, io.EOF))
	return err
}

// chunk is how much is received before those who read along get it.
const chunk = 256 << 10

func (f *fetch) copy(u *registrystore.Upload, from io.Reader) error {
	buffer := make([]byte, chunk)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := u.Write(buffer[:n]); err != nil {
				return err
			}
			f.advance(int64(n), nil)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// advance says that there is more, or with an error that there will be no more; io.EOF if it is complete.
func (f *fetch) advance(n int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.have += n
	f.err = err
	close(f.changed)
	f.changed = make(chan struct{})
}

// send writes the blob as it comes.
func (f *fetch) send(ctx context.Context, store *registrystore.Store, digest string, w io.Writer) error {
	from, err := os.Open(f.file)
	if f.file == "" || errors.Is(err, fs.ErrNotExist) { // it has its own name by now
		from, _, err = store.Blob(digest)
	}
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	buffer := make([]byte, chunk)
	for sent := int64(0); ; {
		f.mu.Lock()
		have, end, changed := f.have, f.err, f.changed
		f.mu.Unlock()
		if sent < have {
			n, err := io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(from, have-sent), buffer)
			if err != nil {
				return err
			}
			sent += n
			continue
		}
		if errors.Is(end, io.EOF) {
			return nil
		}
		if end != nil {
			return end
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}
