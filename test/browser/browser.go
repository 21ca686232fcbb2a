// Package browser drives a real Chromium for tests: it opens pages, waits for what they show, types and clicks, and records what
// they request and what goes wrong in them.
package browser

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const (
	// limit is how long a browser may take to start, or a page to show something.
	limit = time.Minute
	// pause is the pause between two looks at a page.
	pause = 50 * time.Millisecond
)

// Find returns the path of Chromium; it skips the test if there is none.
func Find(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("there is no chromium; Debian's package has the same name, and tools/need.sh browser installs it")
	return ""
}

// Browser is a window of a browser of its own.
type Browser struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // that of the window, which chromedp keeps in it

	mu       sync.Mutex // guards the rest
	requests []string
	errors   []string
}

// New starts a browser in a language ("en", "zh-CN"), which ends with the test.
func New(t *testing.T, lang string, flags ...chromedp.ExecAllocatorOption) *Browser {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(Find(t)), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900), chromedp.Flag("lang", lang),
		chromedp.Flag("accept-lang", lang), chromedp.Env("LANGUAGE="+lang, "DBUS_SESSION_BUS_ADDRESS=disabled:"), chromedp.DisableGPU,
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to run as root otherwise
	}
	ctx, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(options, flags...)...)
	ctx, leave := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		closing, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		_ = chromedp.Cancel(closing) // waits for the process, whose folder is then removed
		leave()
		stop()
	})
	b := &Browser{t: t, ctx: ctx}
	// The browser lives as long as the context with which it is started, so that this has no limit of its own.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start a browser: %v", err)
	}
	b.do("observe", func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		if err := chromedp.Listen(b.ctx, b.heard); err != nil {
			return chromedp.Void{}, err
		}
		_, err := cdp.Call(ctx, target, network.Enable, network.EnableParams{})
		_, err2 := cdp.Call(ctx, target, runtime.Enable, cdp.Empty{})
		_, err3 := cdp.Call(ctx, target, log.Enable, cdp.Empty{})
		return chromedp.Void{}, errors.Join(err, err2, err3)
	})
	return b
}

// heard records what happens in pages.
func (b *Browser) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, fmt.Sprintf("%s %s:%d %+v", e.ExceptionDetails.Text, e.ExceptionDetails.URL, e.ExceptionDetails.LineNumber, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "assert" {
			b.errors = append(b.errors, fmt.Sprintf("console: %+v", e.Args))
		}
	case *log.EventEntryAdded: // violations of the content security policy are among them
		if e.Entry.Level == log.EntryLevelError {
			b.errors = append(b.errors, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

// do runs actions, within the limit.
func (b *Browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s in the browser: %v; errors: %q", what, err, b.Errors())
	}
}

// Open opens an address, and returns when the page is loaded.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.do("open "+url, chromedp.Navigate(url))
}

// Eval is what a JavaScript expression results in, which JSON can have.
func Eval[T any](b *Browser, expression string) (value T) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return value
}

// Text is what the page shows.
func (b *Browser) Text() string {
	b.t.Helper()
	return Eval[string](b, "document.body ? document.body.innerText : ''")
}

// Address is where the page is.
func (b *Browser) Address() string { return Eval[string](b, "location.href") }

// Until waits until a JavaScript expression is true; what says what that means.
func (b *Browser) Until(what, expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		// While another page is being loaded, there is nobody to ask.
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")")); err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("timed out after %s waiting for %s; the page %s shows:\n%s\nerrors: %q", limit, what, b.Address(), b.Text(), b.Errors())
		case <-ticker.C:
		}
	}
}

// Shows waits until the page shows all of some texts.
func (b *Browser) Shows(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		b.Until(strconv.Quote(text)+" on the page", "document.body && document.body.innerText.includes("+strconv.Quote(text)+")")
	}
}

// Click clicks on the first element of a CSS selector, once it is there.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.do("click on "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Type types into whatever has the focus.
func (b *Browser) Type(keys string) {
	b.t.Helper()
	b.do("type "+keys, chromedp.KeyEvent(keys))
}

// Size changes the size of the page.
func (b *Browser) Size(width, height int) {
	b.t.Helper()
	b.do("resize", chromedp.EmulateViewport(int64(width), int64(height)))
}

// Dark has the system prefer dark colors, or light ones.
func (b *Browser) Dark(on bool) {
	b.t.Helper()
	value := "light"
	if on {
		value = "dark"
	}
	b.do("choose colors", func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
		})
		return chromedp.Void{}, err
	})
}

// Fits fails the test if the page is wider than the window.
func (b *Browser) Fits() {
	b.t.Helper()
	if over := Eval[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		widest := Eval[string](b, `[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, .table, .log, pre, nav')).slice(0, 5).map(e => e.tagName + '.' + e.className).join(' ')`)
		b.t.Errorf("%s is %d pixels wider than the window: %s", b.Address(), over, widest)
	}
}

// Picture writes what the window shows to NAME.png in the folder that BONSAI_PICTURES names, if it is set.
func (b *Browser) Picture(name string) {
	b.t.Helper()
	folder := os.Getenv("BONSAI_PICTURES")
	if folder == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	data, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), data, 0o600)
	}
	if err != nil {
		b.t.Fatalf("take a picture: %v", err)
	}
}

// Requests are the addresses of everything that pages have requested so far, without data in the address itself.
func (b *Browser) Requests() (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.requests {
		if !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "about:") && !strings.HasPrefix(url, "chrome") {
			list = append(list, url)
		}
	}
	return list
}

// Errors are those of scripts, and violations of the content security policy.
func (b *Browser) Errors() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.errors)
}

// Page is an address that has a page in itself, as one of another site would be.
func Page(html string) string {
	return "data:text/html;base64," + base64.StdEncoding.EncodeToString([]byte(html))
}

// Resolve has a name lead to this machine in the browser.
func Resolve(name string) chromedp.ExecAllocatorOption {
	return chromedp.Flag("host-resolver-rules", "MAP "+name+" 127.0.0.1")
}
