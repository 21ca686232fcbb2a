package registryclient

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
)

// tokenKey is for what a token is: a repository at an endpoint, or its API.
type tokenKey struct {
	endpoint             cluster.Mirror
	registry, repository string
}

// token is the value of a header, and until when it is good.
type token struct {
	header string
	until  time.Time // zero: as long as it is accepted
}

// early is how long before its end a token is not used any more.
const early = 10 * time.Second

// maxTokens bounds what is kept: one token for each repository that was asked for lately.
const maxTokens = 1000

func (c *Client) token(key tokenKey) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tokens[key]
	if !t.until.IsZero() && time.Now().Add(early).After(t.until) {
		delete(c.tokens, key)
		return ""
	}
	return t.header
}

func (c *Client) keep(key tokenKey, t token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tokens) >= maxTokens {
		clear(c.tokens)
	}
	c.tokens[key] = t
}

// loginFor is what to log in with at an endpoint. A mirror never gets that of the registry.
func (c *Client) loginFor(ctx context.Context, e Endpoint) (Login, error) {
	switch {
	case e.Username != "":
		return Login{Username: e.Username, Password: e.Password}, nil
	case e.Itself && c.o.Logins != nil:
		return c.o.Logins(ctx, e.Registry)
	}
	return Login{}, nil
}

// logIn does what the challenges of an endpoint ask for, and keeps the result for requests of that key.
func (c *Client) logIn(ctx context.Context, h *http.Client, e Endpoint, key tokenKey, challenges []string) error {
	login, err := c.loginFor(ctx, e)
	if err != nil {
		return err
	}
	for _, text := range challenges {
		scheme, params := parseChallenge(text)
		switch scheme {
		case "basic":
			if login.Username == "" {
				return errors.New("it wants a user and a password")
			}
			c.keep(key, token{header: basic(login)})
			return nil
		case "bearer":
			if login.Bearer != "" {
				c.keep(key, token{header: "Bearer " + login.Bearer})
				return nil
			}
			t, err := c.fetchToken(ctx, h, e, params, key.repository, login)
			if err != nil {
				return err
			}
			c.keep(key, t)
			return nil
		}
	}
	return errors.New("it does not say how to log in")
}

func basic(l Login) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(l.Username+":"+l.Password))
}

// fetchToken asks a token server (https://distribution.github.io/distribution/spec/auth/token/).
func (c *Client) fetchToken(ctx context.Context, h *http.Client, e Endpoint, params map[string]string, repository string, login Login) (token, error) {
	realm, err := url.Parse(params["realm"])
	if err != nil || realm.Host == "" || realm.Scheme != "https" && realm.Scheme != "http" {
		return token{}, errors.New("it does not say where to log in")
	}
	if err := mayLogIn(e, realm, login); err != nil {
		return token{}, err
	}
	scope := params["scope"]
	if scope == "" && repository != "" {
		scope = "repository:" + repository + ":pull"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
	if err != nil {
		return token{}, err
	}
	values := url.Values{}
	for name, value := range map[string]string{"service": params["service"], "scope": scope} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if login.Refresh != "" {
		values.Set("grant_type", "refresh_token")
		values.Set("refresh_token", login.Refresh)
		values.Set("client_id", "bonsai")
		if req, err = http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(values.Encode())); err != nil {
			return token{}, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		query := realm.Query()
		maps.Copy(query, values)
		req.URL.RawQuery = query.Encode()
		if login.Username != "" {
			req.Header.Set("Authorization", basic(login))
		}
	}
	req.Header.Set("User-Agent", "bonsai")
	resp, err := h.Do(req)
	if err != nil {
		return token{}, fmt.Errorf("log in at %s: %w", realm.Host, plain(err))
	}
	if resp.StatusCode != http.StatusOK {
		return token{}, fmt.Errorf("log in at %s: %s", realm.Host, refusalOf(resp))
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRefusal)).Decode(&answer); err != nil {
		return token{}, fmt.Errorf("log in at %s: its answer cannot be read: %w", realm.Host, err)
	}
	if answer.Token == "" {
		answer.Token = answer.AccessToken
	}
	if answer.Token == "" {
		return token{}, fmt.Errorf("log in at %s: it gives no token", realm.Host)
	}
	// Without a time it is a minute, by the specification.
	return token{"Bearer " + answer.Token, time.Now().Add(time.Duration(max(answer.ExpiresIn, 60)) * time.Second)}, nil
}

// parseChallenge reads one challenge of a WWW-Authenticate header (RFC 9110, section 11.6.1).
func parseChallenge(text string) (scheme string, params map[string]string) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	params = map[string]string{}
	for rest = strings.TrimLeft(rest, " ,"); rest != ""; rest = strings.TrimLeft(rest, " ,") {
		name, after, ok := strings.Cut(rest, "=")
		if !ok {
			break
		}
		var value string
		if strings.HasPrefix(after, `"`) {
			value, rest = quoted(after[1:])
		} else {
			value, rest, _ = strings.Cut(after, ",")
		}
		params[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return strings.ToLower(scheme), params
}

// quoted reads up to the end of a quoted string, whose beginning has been read.
func quoted(text string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return b.String(), text[i+1:]
		case text[i] == '\\' && i+1 < len(text):
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String(), ""
}

// messageOf is what a registry or a token server says in an error, in a line.
func messageOf(data []byte) string {
	var answer struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
		Details string `json:"details"`
	}
	if json.Unmarshal(data, &answer) != nil {
		return ""
	}
	var list []string
	for _, e := range answer.Errors {
		if e.Message == "" {
			e.Message = e.Code
		}
		list = append(list, e.Message)
	}
	if len(list) == 0 && answer.Details != "" {
		list = append(list, answer.Details)
	}
	text := strings.Join(strings.Fields(strings.Join(list, "; ")), " ")
	const most = 300
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}
