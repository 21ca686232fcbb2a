package cluster

import (
	"slices"
	"strings"
	"testing"
)

// authority is a certificate of Example Root CA.
const authority = `-----BEGIN CERTIFICATE-----
MIIBsDCCAVWgAwIBAgIUbmAcJR9uTUGgF0cDk+i5TijknJAwCgYIKoZIzj0EAwIw
LDEQMA4GA1UECgwHRXhhbXBsZTEYMBYGA1UEAwwPRXhhbXBsZSBSb290IENBMCAX
DTI2MTEyOTE5MjUyNloYDzIxMjYxMTA1MTkyNTI2WjAsMRAwDgYDVQQKDAdFeGFt
cGxlMRgwFgYDVQQDDA9FeGFtcGxlIFJvb3QgQ0EwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQby7pi72jdJk4l/dcBTg/hwYWs1/XdIvkMiOtNwjLE17cwN3zz2Ykw
LgP7uAFOjsWsKVBRO8dPlK6hrwCajm4go1MwUTAdBgNVHQ4EFgQUcgA86kcKdr8i
QYINhnlPlxJXCpEwHwYDVR0jBBgwFoAUcgA86kcKdr8iQYINhnlPlxJXCpEwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA+AJ5yUm5TvYzg8r2qxOC
uHQLsgdbkR9DR+lpNGAn/ygCIQCiBy0khVr5XFy7hHPV7dLFUHZEdzUxwbV92yvm
SGMovg==
-----END CERTIFICATE-----
`

func TestAuthoritiesAreBroughtIntoOneForm(t *testing.T) {
	untidy := "Example Root CA\n" + strings.ReplaceAll(authority, "\n", "\r\n") + "\n# again\n" + authority
	if got, err := ParseAuthorities(untidy); err != nil || got != authority {
		t.Errorf("got %q, %v", got, err)
	}
	if got := SplitAuthorities(authority + authority); !slices.Equal(got, []string{authority, authority}) {
		t.Errorf("split into %q", got)
	}
	if got := SplitAuthorities(""); got != nil {
		t.Errorf("nothing is split into %q", got)
	}
	key := "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"
	for text, want := range map[string]string{
		"":              "no PEM certificate",
		"corp.pem":      "no PEM certificate",
		authority + key: "it has \"EC PRIVATE KEY\"",
		authority + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n": "certificate 2 cannot be read",
	} {
		if got, err := ParseAuthorities(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}
