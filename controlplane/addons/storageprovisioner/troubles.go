package storageprovisioner

import (
	"cmp"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// troubles are the claims whose last attempt failed.
type troubles struct {
	notify func() // when one is added or removed

	mu  sync.Mutex // guards all
	all map[types.UID]trouble
}

type trouble struct {
	claim  *corev1.PersistentVolumeClaim
	reason string
	since  time.Time
}

func newTroubles(notify func()) *troubles {
	return &troubles{notify: notify, all: map[types.UID]trouble{}}
}

func (t *troubles) add(claim *corev1.PersistentVolumeClaim, reason string) {
	t.mu.Lock()
	was, known := t.all[claim.UID]
	since := time.Now()
	if known {
		since = was.since
	}
	t.all[claim.UID] = trouble{claim, reason, since}
	t.mu.Unlock()
	if was.reason != reason {
		t.notify()
	}
}

func (t *troubles) remove(claim *corev1.PersistentVolumeClaim) {
	t.mu.Lock()
	_, known := t.all[claim.UID]
	delete(t.all, claim.UID)
	t.mu.Unlock()
	if known {
		t.notify()
	}
}

// oldest returns the one that has lasted longest, of claims that still wait; the others are forgotten.
func (t *troubles) oldest(waits func(*corev1.PersistentVolumeClaim) bool) (trouble, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var left []trouble
	for uid, one := range t.all {
		if waits(one.claim) {
			left = append(left, one)
		} else {
			delete(t.all, uid)
		}
	}
	if len(left) == 0 {
		return trouble{}, false
	}
	return slices.MinFunc(left, func(a, b trouble) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.claim.UID, b.claim.UID))
	}), true
}
