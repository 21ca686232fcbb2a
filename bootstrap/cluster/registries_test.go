package cluster

import (
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster/clustertest"
)

func TestAuthoritiesAreBroughtIntoOneForm(t *testing.T) {
	untidy := "Example Root CA\n" + strings.ReplaceAll(clustertest.Authority, "\n", "\r\n") + "\n# again\n" + clustertest.Authority
	if got, err := ParseAuthorities(untidy); err != nil || got != clustertest.Authority {
		t.Errorf("got %q, %v", got, err)
	}
	if got := SplitAuthorities(clustertest.Authority + clustertest.Authority); !slices.Equal(got, []string{clustertest.Authority, clustertest.Authority}) {
		t.Errorf("split into %q", got)
	}
	if got := SplitAuthorities(""); got != nil {
		t.Errorf("nothing is split into %q", got)
	}
	key := "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"
	for text, want := range map[string]string{
		"":                          "no PEM certificate",
		"corp.pem":                  "no PEM certificate",
		clustertest.Authority + key: "it has \"EC PRIVATE KEY\"",
		clustertest.Authority + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n": "certificate 2 cannot be read",
	} {
		if got, err := ParseAuthorities(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}
