package registrystore

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// MaxManifest is the size of the largest manifest; the limit is that of the distribution specification.
const MaxManifest = 4 << 20

// Descriptor says what content is, as manifests do.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// Manifest is what a store reads of a manifest of any kind: of an image, or of several.
type Manifest struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Config       *Descriptor       `json:"config"`
	Layers       []Descriptor      `json:"layers"`
	Manifests    []Descriptor      `json:"manifests"`
	Subject      *Descriptor       `json:"subject"`
	Annotations  map[string]string `json:"annotations"`
}

// foreign are layers that are elsewhere, and that no registry has to have.
func foreign(d Descriptor) bool {
	return strings.Contains(d.MediaType, "foreign") || strings.Contains(d.MediaType, "nondistributable")
}

// Blobs are the content that the image consists of, besides manifests.
func (m Manifest) Blobs() (list []Descriptor) {
	if m.Config != nil {
		list = append(list, *m.Config)
	}
	for _, l := range m.Layers {
		if !foreign(l) {
			list = append(list, l)
		}
	}
	return list
}

// link is what a repository's file about a manifest or a tag says.
type link struct {
	Digest    string    `json:"digest"`
	MediaType string    `json:"mediaType"`
	Time      time.Time `json:"time"`
}

func (s *Store) manifestLink(repository, digest string) string {
	return s.path("repositories", repository, "_manifests", digest[len(digestPrefix):])
}

func (s *Store) tagLink(repository, tag string) string {
	return s.path("repositories", repository, "_tags", tag)
}

func readLink(file string) (l link, err error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return l, ErrNotFound
	}
	if err != nil {
		return l, err
	}
	if json.Unmarshal(data, &l) != nil || !ValidDigest(l.Digest) {
		return l, ErrNotFound // damaged; whoever pushes or pulls it again repairs it
	}
	return l, nil
}

func (s *Store) writeLink(file string, l link) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(file), s.path("uploads")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	// Not beside it, where an unfinished one would count as a tag.
	tmp := s.path("uploads", rand.Text())
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// Resolve returns what a tag leads to, and since when. ErrNotFound says that there is none.
func (s *Store) Resolve(repository, tag string) (d Descriptor, since time.Time, err error) {
	if !ValidRepository(repository) || !ValidTag(tag) {
		return d, since, ErrNotFound
	}
	l, err := readLink(s.tagLink(repository, tag))
	return Descriptor{MediaType: l.MediaType, Digest: l.Digest}, l.Time, err
}

// ReadManifest returns a manifest of a repository.
func (s *Store) ReadManifest(repository, digest string) (data []byte, mediaType string, err error) {
	if !ValidRepository(repository) || !ValidDigest(digest) {
		return nil, "", ErrNotFound
	}
	l, err := readLink(s.manifestLink(repository, digest))
	if err != nil {
		return nil, "", err
	}
	f, _, err := s.Blob(digest)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = f.Close() }()
	data, err = io.ReadAll(io.LimitReader(f, MaxManifest+1))
	return data, l.MediaType, err
}

// PutManifest makes data a manifest of a repository, with a tag unless that is empty, and returns its digest.
func (s *Store) PutManifest(repository, tag, mediaType string, data []byte) (string, error) {
	if !ValidRepository(repository) || tag != "" && !ValidTag(tag) {
		return "", fmt.Errorf("%s:%s is not a name", repository, tag)
	}
	digest, err := s.Put(data)
	if err != nil {
		return "", err
	}
	unlock, err := s.lock(unix.LOCK_SH)
	if err != nil {
		return "", err
	}
	defer unlock()
	l := link{digest, mediaType, time.Now().UTC()}
	if err := s.writeLink(s.manifestLink(repository, digest), l); err != nil {
		return "", err
	}
	if tag == "" {
		return digest, nil // it stays claimed: what names it, or a tag, comes next
	}
	if err := s.writeLink(s.tagLink(repository, tag), l); err != nil {
		return "", err
	}
	s.release(repository, digest)
	return digest, nil
}

// SetTag gives a manifest that the repository has a tag.
func (s *Store) SetTag(repository, tag string, d Descriptor) error {
	if !ValidRepository(repository) || !ValidTag(tag) || !ValidDigest(d.Digest) {
		return fmt.Errorf("%s:%s is not a name", repository, tag)
	}
	return s.writeLink(s.tagLink(repository, tag), link{d.Digest, d.MediaType, time.Now().UTC()})
}

// release takes back the claims to what a tag leads to: the tag keeps it from now on.
func (s *Store) release(repository, digest string) {
	for _, d := range append(s.reach(repository, digest, nil), digest) {
		_ = os.Remove(s.claimPath(d)) // most have none
	}
}

// reach returns the digests of everything that a manifest consists of, without itself. What is in seen has been followed.
func (s *Store) reach(repository, digest string, seen map[string]bool) (list []string) {
	if seen == nil {
		seen = map[string]bool{}
	}
	if seen[digest] {
		return nil
	}
	seen[digest] = true
	data, _, err := s.ReadManifest(repository, digest)
	if err != nil {
		return nil
	}
	var m Manifest
	if json.Unmarshal(data, &m) != nil {
		return nil
	}
	for _, d := range m.Blobs() {
		if ValidDigest(d.Digest) {
			list = append(list, d.Digest)
		}
	}
	for _, d := range m.Manifests {
		if ValidDigest(d.Digest) {
			list = append(append(list, d.Digest), s.reach(repository, d.Digest, seen)...)
		}
	}
	return list
}

// DeleteTag removes a tag; what it leads to stays until Collect.
func (s *Store) DeleteTag(repository, tag string) error {
	if !ValidRepository(repository) || !ValidTag(tag) {
		return ErrNotFound
	}
	err := os.Remove(s.tagLink(repository, tag))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return err
}

// DeleteManifest removes a manifest from a repository, and all of its tags there.
func (s *Store) DeleteManifest(repository, digest string) error {
	if !ValidRepository(repository) || !ValidDigest(digest) {
		return ErrNotFound
	}
	tags, err := s.Tags(repository)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if d, _, err := s.Resolve(repository, tag); err == nil && d.Digest == digest {
			if err := s.DeleteTag(repository, tag); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
	}
	err = os.Remove(s.manifestLink(repository, digest))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return err
}

// Repositories returns the names of all repositories that have manifests, sorted.
func (s *Store) Repositories() (list []string, err error) {
	root := s.path("repositories")
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !d.IsDir() || !strings.HasPrefix(d.Name(), "_") {
			return nil
		}
		if d.Name() == "_manifests" {
			entries, err := os.ReadDir(file)
			if err != nil {
				return err
			}
			if name, err := filepath.Rel(root, filepath.Dir(file)); err == nil && len(entries) > 0 {
				list = append(list, filepath.ToSlash(name))
			}
		}
		return fs.SkipDir
	})
	slices.Sort(list)
	return list, err
}

// Tags returns the tags of a repository, sorted. ErrNotFound says that there is no such repository.
func (s *Store) Tags(repository string) ([]string, error) {
	if !ValidRepository(repository) {
		return nil, ErrNotFound
	}
	list, err := names(s.path("repositories", repository, "_tags"))
	if err == nil && len(list) == 0 {
		if _, err := os.Stat(s.path("repositories", repository, "_manifests")); err != nil {
			return nil, ErrNotFound
		}
	}
	return slices.DeleteFunc(list, func(tag string) bool { return !ValidTag(tag) }), err
}

// manifests returns the digests of all manifests of a repository.
func (s *Store) manifests(repository string) (list []string, err error) {
	all, err := names(s.path("repositories", repository, "_manifests"))
	for _, name := range all {
		if digest := digestPrefix + name; ValidDigest(digest) {
			list = append(list, digest)
		}
	}
	return list, err
}

func names(dir string) (list []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list, err
}

// Referrers returns the manifests of a repository whose subject is that of digest.
func (s *Store) Referrers(repository, digest string) ([]Descriptor, error) {
	list := []Descriptor{}
	all, err := s.manifests(repository)
	for _, one := range all {
		data, mediaType, err := s.ReadManifest(repository, one)
		var m Manifest
		if err != nil || json.Unmarshal(data, &m) != nil || m.Subject == nil || m.Subject.Digest != digest {
			continue
		}
		artifact := m.ArtifactType
		if artifact == "" && m.Config != nil {
			artifact = m.Config.MediaType
		}
		list = append(list, Descriptor{MediaType: mediaType, Digest: one, Size: int64(len(data)), ArtifactType: artifact, Annotations: m.Annotations})
	}
	return list, err
}

// Image is one tag of a repository.
type Image struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
	// Size is that of everything that the store has of it, as it is transferred; images may share some.
	Size int64     `json:"size"`
	Time time.Time `json:"time"`
}

// Images returns all tags, sorted by name.
func (s *Store) Images() ([]Image, error) {
	list := []Image{}
	repositories, err := s.Repositories()
	for _, repository := range repositories {
		tags, err := s.Tags(repository)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		for _, tag := range tags {
			d, since, err := s.Resolve(repository, tag)
			if err != nil {
				continue // gone meanwhile
			}
			i := Image{Repository: repository, Tag: tag, Digest: d.Digest, Time: since}
			parts := append(s.reach(repository, d.Digest, nil), d.Digest)
			slices.Sort(parts)
			for _, part := range slices.Compact(parts) {
				size, _ := s.Size(part) // what is not there takes nothing
				i.Size += size
			}
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Tag, b.Tag))
	})
	return list, err
}
