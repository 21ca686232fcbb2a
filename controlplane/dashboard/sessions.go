package dashboard

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

const (
	// tokenLimit is how long a token in a URL is valid.
	tokenLimit = 2 * time.Minute
	// sessionLimit is how long a session lasts without a request.
	sessionLimit = 12 * time.Hour
	// The oldest of more than these end.
	maxTokens   = 16
	maxSessions = 32
	// maxStreams is how many streams a session may have at once. A browser opens six at most.
	maxStreams = 32
)

// digest is the form in which secrets are kept, so that the time of looking one up says nothing about it.
type digest [sha256.Size]byte

// invitation is a token that nobody has used.
type invitation struct {
	token    digest
	until    time.Time
	readOnly bool
}

// session is one browser.
type session struct {
	key digest
	// csrf has to be in each request that changes something.
	csrf     string
	readOnly bool
	used     time.Time
	streams  int
	ctx      context.Context //nolint:containedctx // the life of the session, for its streams
	end      context.CancelFunc
}

// sessions are who may use the dashboard. They exist in memory only, and end with the process.
type sessions struct {
	life context.Context //nolint:containedctx // of the server
	now  func() time.Time

	mu          sync.Mutex // guards the rest
	invitations []invitation
	open        []*session
}

func newSessions(life context.Context) *sessions { return &sessions{life: life, now: time.Now} }

// secret is new, with 256 bits of randomness.
func secret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

func (d digest) equal(other digest) bool { return subtle.ConstantTimeCompare(d[:], other[:]) == 1 }

// invite returns a token that works once.
func (s *sessions) invite(readOnly bool) string {
	token := secret()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	s.invitations = append(s.invitations, invitation{digestOf(token), s.now().Add(tokenLimit), readOnly})
	s.invitations = s.invitations[max(0, len(s.invitations)-maxTokens):]
	return token
}

// enter uses up a token. It returns the key of a new session; ok is false for a token that does not exist, is used or too old.
func (s *sessions) enter(token string) (key string, ok bool) {
	d := digestOf(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	i := slices.IndexFunc(s.invitations, func(i invitation) bool { return i.token.equal(d) })
	if i < 0 {
		return "", false
	}
	readOnly := s.invitations[i].readOnly
	s.invitations = slices.Delete(s.invitations, i, i+1)
	key = secret()
	ctx, end := context.WithCancel(s.life)
	s.open = append(s.open, &session{key: digestOf(key), csrf: secret(), readOnly: readOnly, used: s.now(), ctx: ctx, end: end})
	for len(s.open) > maxSessions {
		s.open[0].end()
		s.open = slices.Delete(s.open, 0, 1)
	}
	return key, true
}

// find returns the session of a key, nil if there is none.
func (s *sessions) find(key string) *session {
	d := digestOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	i := slices.IndexFunc(s.open, func(o *session) bool { return o.key.equal(d) })
	if i < 0 {
		return nil
	}
	s.open[i].used = s.now()
	return s.open[i]
}

// stream counts a stream of a session; ok is false if it has too many. The stream ends with the returned context.
func (s *sessions) stream(ctx context.Context, of *session) (_ context.Context, done func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of.streams >= maxStreams {
		return nil, nil, false
	}
	of.streams++
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(of.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		of.streams--
		of.used = s.now()
	}, true
}

// revoke ends everything.
func (s *sessions) revoke() cluster.DashboardRevoked {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	done := cluster.DashboardRevoked{Sessions: len(s.open), Tokens: len(s.invitations)}
	for _, o := range s.open {
		o.end()
	}
	s.open, s.invitations = nil, nil
	return done
}

// leave ends one session.
func (s *sessions) leave(of *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of.end()
	s.open = slices.DeleteFunc(s.open, func(o *session) bool { return o == of })
}

// expire forgets what is too old; s.mu is held.
func (s *sessions) expire() {
	now := s.now()
	s.invitations = slices.DeleteFunc(s.invitations, func(i invitation) bool { return now.After(i.until) })
	s.open = slices.DeleteFunc(s.open, func(o *session) bool {
		old := o.streams == 0 && now.Sub(o.used) > sessionLimit
		if old {
			o.end()
		}
		return old
	})
}
