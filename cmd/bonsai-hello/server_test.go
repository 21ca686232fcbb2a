package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func ask(ctx context.Context, s *server, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestItSaysWhereItRunsAndWhatItWasAsked(t *testing.T) {
	s := newServer(place{Pod: "web-1", Namespace: "shop", Node: "dev-2", Zone: "b", Addresses: []string{"10.244.1.5"}}, nil)
	w := ask(t.Context(), s, "http://web.shop/cart?x=1", "X-Trace", "abc")
	text := w.Body.String()
	for _, want := range []string{"Hello from web-1\n", "namespace  shop\n", "node       dev-2\n", "zone       b\n", "address    10.244.1.5\n", "request    GET /cart?x=1 HTTP/1.1\n", "host       web.shop\n", "X-Trace: abc\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	var a answer
	if err := json.Unmarshal(ask(t.Context(), s, "/", "Accept", "application/json").Body.Bytes(), &a); err != nil || a.Node != "dev-2" || a.Headers.Get("Accept") == "" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestItMisbehavesOnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exited := -1
		s := newServer(place{Pod: "web-1"}, func(code int) { exited = code })
		begin := time.Now()
		if w := ask(t.Context(), s, "/?slow=90s&status=503"); w.Code != http.StatusServiceUnavailable || time.Since(begin) != 90*time.Second {
			t.Errorf("%d after %s", w.Code, time.Since(begin))
		}
		if w := ask(t.Context(), s, "/?leak=3Mi"); !strings.Contains(w.Body.String(), "leaked     3 MiB") || len(s.kept[0]) != 3<<20 {
			t.Errorf("%s", w.Body)
		}
		if w := ask(t.Context(), s, "/healthz"); w.Code != http.StatusOK {
			t.Errorf("health %d", w.Code)
		}
		ask(t.Context(), s, "/?unhealthy=1m")
		if w := ask(t.Context(), s, "/healthz"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("health %d", w.Code)
		}
		time.Sleep(time.Minute)
		if w := ask(t.Context(), s, "/healthz"); w.Code != http.StatusOK || exited != -1 {
			t.Errorf("health %d, exited %d", w.Code, exited)
		}
		if w := ask(t.Context(), s, "/?exit=3"); w.Code != http.StatusOK || exited != 3 {
			t.Errorf("%d, exited %d", w.Code, exited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		if ask(ctx, s, "/?slow=9m"); time.Since(begin) != time.Second {
			t.Errorf("a request that its client gave up took %s", time.Since(begin))
		}
	})
}

func TestWishesThatAreNotPossible(t *testing.T) {
	s := newServer(place{}, nil)
	for _, query := range []string{"slow=x", "slow=-1s", "slow=1h", "status=99", "status=", "leak=1Ti", "leak=Mi", "leak=99999999999Gi", "leak=-1", "exit=256", "burn=soon", "unhealthy=1"} {
		if w := ask(t.Context(), s, "/?"+query); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "it has to be") {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("slow=2s&leak=64Mi&status=503&exit=1")
	f.Add("leak=KMGik&leak=1")
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		w, err := parse(values)
		if err == nil && (w.slow < 0 || w.slow > longest || w.leak < 0 || w.leak > maxLeak || w.status < 200 || w.status > 599 || w.exit < -1 || w.exit > 255) {
			t.Errorf("%q is %+v", query, w)
		}
	})
}

func TestTheNamespaceOfAPod(t *testing.T) {
	for text, want := range map[string]string{
		"nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local lan\noptions ndots:5\n": "shop",
		"search lan\n": "", "": "", "search svc.cluster.local\n": "",
	} {
		if got := namespaceOf(text); got != want {
			t.Errorf("%q is of namespace %q, want %q", text, got, want)
		}
	}
}

func TestItEndsInOrder(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"0", "0"}, nil) }()
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "cancel") {
		t.Error(err)
	}
}
