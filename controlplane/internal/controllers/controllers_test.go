package controllers

import (
	"errors"
	"io"
	"testing"
)

func TestErrorsNameTheCheckThatFailed(t *testing.T) {
	long := errors.New(`failed to get apiserver /healthz status: an error on the server ("[+]ping ok\n[-]etcd failed: reason withheld\n` +
		`[+]poststarthook/bonsai/bootstrap ok\n[+]autoregister-completion ok\nhealthz check failed") has prevented the request from succeeding`)
	want := `failed to get apiserver /healthz status: an error on the server ("[-]etcd failed: reason withheld\n` +
		`healthz check failed") has prevented the request from succeeding`
	if got := brief(long).Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := brief(io.EOF); !errors.Is(err, io.EOF) {
		t.Errorf("another error has become %v", err)
	}
}
