// Package clustertest has values that the tests of several packages need.
package clustertest

// Authority is a certificate of Example Root CA, in the form that cluster.ParseAuthorities returns.
const Authority = `-----BEGIN CERTIFICATE-----
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
