package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
)

const (
	// pageSize is how many objects one page of a list has: the first ones can be shown while the others are loaded.
	pageSize = 500
	// flushInterval is the shortest pause between two calls with changes.
	flushInterval = 50 * time.Millisecond
	// answerLimit is how long the API server may take to start an answer.
	answerLimit = 30 * time.Second
	// relistPause limits requests to a server on which every watch expires at once.
	relistPause = time.Second
)

// source is what to list and watch.
type source struct {
	path string
	// accept is the form of the answers, empty for plain JSON objects.
	accept string
	params url.Values
}

// listMeta is the relevant part of a list's or an object's metadata.
type listMeta struct {
	ResourceVersion string `json:"resourceVersion"`
	Continue        string `json:"continue"`
}

// sink receives the objects of a source. Its methods are called one at a time.
type sink interface {
	// begin announces a new list; everything sent before is void.
	begin()
	// page takes one page of the list from its JSON.
	page(body io.Reader) (listMeta, error)
	// synced says that the list is complete. flush follows.
	synced()
	// change receives one object that was added, modified or deleted, or a bookmark, and returns its resource version.
	change(kind watch.EventType, object []byte) (version string, err error)
	// flush passes on what was received since the last one. Its error ends the following, unchanged.
	flush() error
}

// expired is the end of a watch that requires a new list.
type expired struct{ err error }

func (e expired) Error() string { return e.err.Error() }

// follow lists a source and watches it until ctx ends, flush fails, or the API server cannot be reached. It lists again
// when a watch has expired.
func (s *Session) follow(ctx context.Context, src source, k sink) error {
	for {
		began := time.Now()
		err := s.followOnce(ctx, src, k)
		if _, again := errors.AsType[expired](err); !again {
			return err
		}
		if time.Since(began) < relistPause {
			if err := wait.Pause(ctx, relistPause); err != nil {
				return err
			}
		}
	}
}

func (s *Session) followOnce(ctx context.Context, src source, k sink) error {
	version, err := s.list(ctx, src, k)
	if err != nil {
		return err
	}
	for {
		began := time.Now()
		if version, err = s.watch(ctx, src, version, k); err != nil {
			return err
		}
		// The server ends watches after a few minutes. One that ends at once must not make us spin.
		if time.Since(began) < relistPause {
			if err := wait.Pause(ctx, relistPause); err != nil {
				return err
			}
		}
	}
}

// list reads all pages and returns the version to watch from.
func (s *Session) list(ctx context.Context, src source, k sink) (version string, err error) {
	k.begin()
	for next := ""; ; {
		meta, err := s.listPage(ctx, src, next, k)
		if err != nil {
			return "", err
		}
		if next = meta.Continue; next == "" {
			k.synced()
			return meta.ResourceVersion, k.flush()
		}
		if err := k.flush(); err != nil {
			return "", err
		}
	}
}

func (s *Session) listPage(ctx context.Context, src source, next string, k sink) (listMeta, error) {
	params := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if next != "" {
		params.Set("continue", next)
	}
	limited, cancel := s.limit(ctx, answerLimit, "a list from the API server")
	defer cancel()
	body, err := s.stream(limited, src, params)
	if err != nil {
		return listMeta{}, s.listError(limited, err)
	}
	defer func() { _ = body.Close() }()
	meta, err := k.page(body)
	if err != nil {
		return meta, s.listError(limited, fmt.Errorf("read the list: %w", err))
	}
	return meta, nil
}

func (s *Session) listError(ctx context.Context, err error) error {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return expired{err}
	}
	return s.explain(ctx, "list objects", err)
}

// stream requests a source and returns the body of a successful answer.
func (s *Session) stream(ctx context.Context, src source, params url.Values) (io.ReadCloser, error) {
	c, err := s.api()
	if err != nil {
		return nil, err
	}
	accept := src.accept
	if accept == "" {
		accept = "application/json"
	}
	r := c.raw.Get().AbsPath(src.path).SetHeader("Accept", accept).MaxRetries(0)
	for _, values := range []url.Values{src.params, params} {
		for name, list := range values {
			for _, v := range list {
				r = r.Param(name, v)
			}
		}
	}
	return r.Stream(ctx)
}

// open is stream for an answer without an end: what names the wait for its start. Closing it ends the request.
func (s *Session) open(ctx context.Context, src source, params url.Values, what string) (io.ReadCloser, error) {
	own, cancel := context.WithCancel(ctx)
	limit := s.o.Scale.Of(answerLimit)
	opening := time.AfterFunc(limit, cancel)
	body, err := s.stream(own, src, params)
	if opening.Stop() && err == nil {
		return &request{body, cancel}, nil
	}
	if err == nil {
		_ = body.Close()
	}
	if own.Err() != nil && ctx.Err() == nil {
		err = fault.New(fault.Timeout, "", &wait.Timeout{After: limit, For: what})
	}
	cancel()
	return nil, err
}

// request is the answer of a request and ends it.
type request struct {
	io.ReadCloser
	cancel func()
}

func (r *request) Close() error {
	r.cancel()
	return r.ReadCloser.Close()
}

// change is one event of a watch as it comes.
type change struct {
	Type   watch.EventType `json:"type"`
	Object json.RawMessage `json:"object"`
}

// watch passes changes on until the server ends the watch, and returns the version from which to continue.
func (s *Session) watch(ctx context.Context, src source, version string, k sink) (string, error) {
	params := url.Values{"watch": {"true"}, "allowWatchBookmarks": {"true"}, "resourceVersion": {version}}
	body, err := s.open(ctx, src, params, "the beginning of a watch")
	if err != nil {
		return version, s.watchError(ctx, err)
	}
	ctx, cancel := context.WithCancel(ctx)

	// Reading ends with the body, which is closed before this function waits for it.
	changes := make(chan change)
	var readErr error
	done := make(chan struct{})
	defer func() {
		cancel()
		_ = body.Close()
		<-done
	}()
	go func() {
		defer close(done)
		readErr = readChanges(ctx, body, changes)
		close(changes)
	}()

	timer := time.NewTimer(0)
	<-timer.C
	defer timer.Stop()
	waiting, last := false, time.Time{} // a flush is due when the timer rings; when the last one was
	flush := func() error {
		waiting, last = false, time.Now()
		return k.flush()
	}
	for {
		select {
		case <-timer.C:
			if err := flush(); err != nil {
				return version, err
			}
		case c, ok := <-changes:
			if !ok {
				<-done
				if err := k.flush(); err != nil {
					return version, err
				}
				return version, s.watchError(ctx, readErr)
			}
			if c.Type == watch.Error {
				if err := k.flush(); err != nil {
					return version, err
				}
				return version, s.watchError(ctx, statusError(c.Object))
			}
			next, err := k.change(c.Type, c.Object)
			if err != nil {
				return version, fmt.Errorf("read a change: %w", err)
			}
			if next != "" {
				version = next
			}
			if c.Type == watch.Bookmark || waiting {
				continue
			}
			if since := time.Since(last); since < flushInterval {
				waiting = true
				timer.Reset(flushInterval - since)
			} else if err := flush(); err != nil {
				return version, err
			}
		}
	}
}

// readChanges decodes events until the body ends, which is not an error.
func readChanges(ctx context.Context, body io.Reader, changes chan<- change) error {
	dec := json.NewDecoder(body)
	for {
		var c change
		switch err := dec.Decode(&c); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		select {
		case changes <- c:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *Session) watchError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return expired{err}
	}
	return s.explain(ctx, "watch objects", err)
}

// statusError returns the error for the Status that a watch ends with.
func statusError(object []byte) error {
	var status metav1.Status
	if err := json.Unmarshal(object, &status); err != nil {
		return fmt.Errorf("read the end of a watch: %w", err)
	}
	if status.Code == 0 {
		status.Code = http.StatusInternalServerError
	}
	return &apierrors.StatusError{ErrStatus: status}
}
