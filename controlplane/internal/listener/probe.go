package listener

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxAnswer is more than all checks of /readyz take.
const maxAnswer = 64 << 10

// Ready asks the API server at address whether it is ready, as a user's first request does: over a new connection, which
// has to be accepted. It blocks until the answer is there or ctx ends; the error names the checks that fail.
func Ready(ctx context.Context, address string, roots *x509.CertPool) error {
	// Without a proxy, whatever the environment says, and with nothing left of the connection.
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", address, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s does not complete its answer: %w", address, err)
	}
	var failing []string
	for line := range strings.Lines(string(body)) {
		if check, ok := strings.CutPrefix(line, "[-]"); ok {
			name, _, _ := strings.Cut(check, " ")
			failing = append(failing, name)
		}
	}
	if len(failing) == 0 {
		return fmt.Errorf("%s answers %s", address, resp.Status)
	}
	return fmt.Errorf("%s answers that it is not ready: %s", address, strings.Join(failing, ", "))
}
