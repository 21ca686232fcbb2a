package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"bonsai/bootstrap/cluster"
)

// Manifest is a file of objects that the cluster should have.
type Manifest struct {
	// Source is the absolute path or the URL of the file, Data what is in it.
	Source string `json:"source"`
	Data   string `json:"data"`
}

// Hash identifies what is in the manifest.
func (m Manifest) Hash() string {
	sum := sha256.Sum256([]byte(m.Data))
	return hex.EncodeToString(sum[:])
}

// ApplyManifest applies the objects of a manifest, or forgets it; its objects stay then.
type ApplyManifest struct {
	Source  string `json:"source"`
	Removed bool   `json:"removed,omitempty"`
}

func (c ApplyManifest) Kind() Kind     { return KindManifest }
func (c ApplyManifest) Object() string { return "manifest/" + c.Source }
func (c ApplyManifest) Needs() Need    { return Need{Effect: Live} }
func (c ApplyManifest) String() string {
	if c.Removed {
		return "leave the objects of " + c.Source + " as they are from now on"
	}
	return "apply the objects of " + c.Source
}

// withManifests are those that a spec has with the wish.
func (w Wish) withManifests(have []cluster.Manifest) []cluster.Manifest {
	if w.Manifests == nil {
		return have
	}
	var list []cluster.Manifest
	for _, m := range w.Manifests {
		list = append(list, cluster.Manifest{Source: m.Source, Hash: m.Hash()})
	}
	return list
}

func diffManifests(have, want []cluster.Manifest) (changes []Change) {
	find := func(in []cluster.Manifest, source string) (hash string, found bool) {
		i := slices.IndexFunc(in, func(m cluster.Manifest) bool { return m.Source == source })
		if i < 0 {
			return "", false
		}
		return in[i].Hash, true
	}
	for _, m := range want {
		if hash, had := find(have, m.Source); !had || hash != m.Hash {
			changes = append(changes, ApplyManifest{Source: m.Source})
		}
	}
	for _, m := range have {
		if _, stays := find(want, m.Source); !stays {
			changes = append(changes, ApplyManifest{Source: m.Source, Removed: true})
		}
	}
	return changes
}
