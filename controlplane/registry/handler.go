package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/registrystore"
)

// The codes of errors that the specification has.
const (
	codeBlobUnknown     = "BLOB_UNKNOWN"
	codeUploadInvalid   = "BLOB_UPLOAD_INVALID"
	codeUploadUnknown   = "BLOB_UPLOAD_UNKNOWN"
	codeDigestInvalid   = "DIGEST_INVALID"
	codeManifestBlob    = "MANIFEST_BLOB_UNKNOWN"
	codeManifestInvalid = "MANIFEST_INVALID"
	codeManifestUnknown = "MANIFEST_UNKNOWN"
	codeNameInvalid     = "NAME_INVALID"
	codeNameUnknown     = "NAME_UNKNOWN"
	codeDenied          = "DENIED"
	codeUnsupported     = "UNSUPPORTED"
	codeUnknown         = "UNKNOWN"
)

const digestHeader = "Docker-Content-Digest"

// fail answers with an error as the specification has it.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	_ = json.NewEncoder(w).Encode(map[string][]entry{"errors": {{code, message}}}) // the client may be gone
}

// handler serves one store.
type handler struct {
	store    *registrystore.Store
	mayWrite bool
	log      *slog.Logger
}

// request is a path of the API, split.
type request struct {
	// repository is empty for the API itself and the catalog; what is manifests, blobs, uploads, tags, referrers or _catalog.
	repository, what, reference string
}

// parse splits a path. A repository's name may have slashes, and the words of the API in it.
func parse(path string) (q request, ok bool) {
	rest, ok := strings.CutPrefix(path, "/v2")
	if !ok || rest != "" && rest[0] != '/' {
		return q, false
	}
	rest = strings.TrimPrefix(rest, "/")
	if rest == "" {
		return q, true
	}
	if rest == "_catalog" {
		return request{what: rest}, true
	}
	if name, id, ok := cutLast(rest, "/blobs/uploads/"); ok {
		return request{name, "uploads", id}, true
	}
	if name, ok := strings.CutSuffix(rest, "/blobs/uploads"); ok {
		return request{name, "uploads", ""}, true
	}
	if name, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		return request{name, "tags", ""}, true
	}
	for _, what := range []string{"manifests", "blobs", "referrers"} {
		if name, reference, ok := cutLast(rest, "/"+what+"/"); ok && reference != "" {
			return request{name, what, reference}, true
		}
	}
	return q, false
}

// cutLast cuts at the last separator, after which there is no slash.
func cutLast(text, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 || strings.Contains(text[i+len(sep):], "/") {
		return "", "", false
	}
	return text[:i], text[i+len(sep):], true
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	q, ok := parse(r.URL.Path)
	if !ok {
		fail(w, http.StatusNotFound, codeNameUnknown, "this is not a path of a registry")
		return
	}
	if q.repository != "" && !registrystore.ValidRepository(q.repository) {
		fail(w, http.StatusBadRequest, codeNameInvalid, strconv.Quote(q.repository)+" is not the name of a repository")
		return
	}
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !read && !h.mayWrite {
		fail(w, http.StatusMethodNotAllowed, codeUnsupported, "nothing can be changed here")
		return
	}
	switch {
	case q.what == "" && read:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	case q.what == "_catalog" && read:
		h.catalog(w, r)
	case q.what == "tags" && read:
		h.tags(w, r, q.repository)
	case q.what == "referrers" && read:
		h.referrers(w, r, q)
	case q.what == "manifests" && read:
		h.manifest(w, r, q)
	case q.what == "manifests" && r.Method == http.MethodPut:
		h.putManifest(w, r, q)
	case q.what == "manifests" && r.Method == http.MethodDelete:
		h.deleteManifest(w, q)
	case q.what == "blobs" && read:
		h.blob(w, r, q.reference)
	case q.what == "blobs" && r.Method == http.MethodDelete:
		h.deleteBlob(w, q.reference)
	case q.what == "uploads":
		h.uploads(w, r, q)
	default:
		fail(w, http.StatusMethodNotAllowed, codeUnsupported, r.Method+" is not possible here")
	}
}

// broken answers that the store cannot be read or written.
func (h *handler) broken(w http.ResponseWriter, doing string, err error) {
	h.log.Warn("the registry failed", "doing", doing, "err", err)
	fail(w, http.StatusInternalServerError, codeUnknown, doing+": "+err.Error())
}

func (h *handler) catalog(w http.ResponseWriter, r *http.Request) {
	list, err := h.store.Repositories()
	if err != nil {
		h.broken(w, "list repositories", err)
		return
	}
	if list = page(w, r, list); list == nil {
		list = []string{}
	}
	answer(w, map[string]any{"repositories": list})
}

func (h *handler) tags(w http.ResponseWriter, r *http.Request, repository string) {
	list, err := h.store.Tags(repository)
	if errors.Is(err, registrystore.ErrNotFound) {
		fail(w, http.StatusNotFound, codeNameUnknown, "there is no repository "+repository)
		return
	}
	if err != nil {
		h.broken(w, "list tags", err)
		return
	}
	if list = page(w, r, list); list == nil {
		list = []string{}
	}
	answer(w, map[string]any{"name": repository, "tags": list})
}

// page is the part of a sorted list that a request asks for; if there is more, a header says where.
func page(w http.ResponseWriter, r *http.Request, list []string) []string {
	query := r.URL.Query()
	if last := query.Get("last"); last != "" {
		list = list[sort.Search(len(list), func(i int) bool { return list[i] > last }):]
	}
	n, err := strconv.Atoi(query.Get("n"))
	if err != nil || n < 0 || n >= len(list) {
		return list
	}
	list = list[:n]
	if n > 0 {
		next := url.Values{"n": {strconv.Itoa(n)}, "last": {list[n-1]}}
		w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", r.URL.Path, next.Encode()))
	}
	return list
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the client may be gone
}

func (h *handler) referrers(w http.ResponseWriter, r *http.Request, q request) {
	if !registrystore.ValidDigest(q.reference) {
		fail(w, http.StatusBadRequest, codeDigestInvalid, strconv.Quote(q.reference)+" is not a digest")
		return
	}
	list, err := h.store.Referrers(q.repository, q.reference)
	if err != nil {
		h.broken(w, "list referrers", err)
		return
	}
	if kind := r.URL.Query().Get("artifactType"); kind != "" {
		list = slices.DeleteFunc(list, func(d registrystore.Descriptor) bool { return d.ArtifactType != kind })
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	w.Header().Set("Content-Type", indexType)
	_ = json.NewEncoder(w).Encode(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": list}) // the client may be gone
}

const indexType = "application/vnd.oci.image.index.v1+json"

// digestOf is the digest that a reference, a tag or a digest, leads to; empty if to nothing.
func (h *handler) digestOf(repository, reference string) string {
	if registrystore.ValidDigest(reference) {
		return reference
	}
	d, _, err := h.store.Resolve(repository, reference)
	if err != nil {
		return ""
	}
	return d.Digest
}

func (h *handler) manifest(w http.ResponseWriter, r *http.Request, q request) {
	digest := h.digestOf(q.repository, q.reference)
	data, mediaType, err := h.store.ReadManifest(q.repository, digest)
	if errors.Is(err, registrystore.ErrNotFound) {
		fail(w, http.StatusNotFound, codeManifestUnknown, "there is no manifest "+q.repository+":"+q.reference)
		return
	}
	if err != nil {
		h.broken(w, "read a manifest", err)
		return
	}
	sendManifest(w, r, digest, mediaType, data)
}

func sendManifest(w http.ResponseWriter, r *http.Request, digest, mediaType string, data []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.Header().Set(digestHeader, digest)
	w.Header().Set("ETag", strconv.Quote(digest))
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // the client may be gone
	}
}

// manifestTypes are the media types that a manifest can have here: those whose parts are known.
func manifestType(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.") || strings.HasPrefix(mediaType, "application/vnd.docker.distribution.manifest.")
}

func (h *handler) putManifest(w http.ResponseWriter, r *http.Request, q request) {
	tag := q.reference
	if registrystore.ValidDigest(tag) {
		tag = ""
	} else if !registrystore.ValidTag(tag) {
		fail(w, http.StatusBadRequest, codeManifestInvalid, strconv.Quote(tag)+" is neither a tag nor a digest of SHA-256")
		return
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, registrystore.MaxManifest))
	if err != nil {
		fail(w, http.StatusRequestEntityTooLarge, codeManifestInvalid, "the manifest cannot be read: "+err.Error())
		return
	}
	var m registrystore.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		fail(w, http.StatusBadRequest, codeManifestInvalid, "the manifest is not JSON: "+err.Error())
		return
	}
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if mediaType == "" {
		mediaType = m.MediaType
	}
	if !manifestType(mediaType) || m.MediaType != "" && m.MediaType != mediaType {
		fail(w, http.StatusBadRequest, codeManifestInvalid, "the manifest's media type is "+strconv.Quote(mediaType)+", and it says "+strconv.Quote(m.MediaType))
		return
	}
	if missing := h.missing(q.repository, m); missing != "" {
		fail(w, http.StatusBadRequest, codeManifestBlob, "the registry does not have "+missing+", which the manifest names")
		return
	}
	if tag == "" && digestOf(data) != q.reference {
		fail(w, http.StatusBadRequest, codeDigestInvalid, "the manifest has another digest than "+q.reference)
		return
	}
	digest, err := h.store.PutManifest(q.repository, tag, mediaType, data)
	if err != nil {
		h.broken(w, "keep a manifest", err)
		return
	}
	if m.Subject != nil {
		w.Header().Set("OCI-Subject", m.Subject.Digest)
	}
	w.Header().Set("Location", "/v2/"+q.repository+"/manifests/"+digest)
	w.Header().Set(digestHeader, digest)
	w.WriteHeader(http.StatusCreated)
}

// missing is the digest of something that a manifest names and the registry does not have.
func (h *handler) missing(repository string, m registrystore.Manifest) string {
	for _, d := range m.Blobs() {
		if _, err := h.store.Size(d.Digest); err != nil {
			return d.Digest
		}
	}
	for _, d := range m.Manifests {
		if _, _, err := h.store.ReadManifest(repository, d.Digest); err != nil {
			return d.Digest
		}
	}
	return ""
}

func (h *handler) deleteManifest(w http.ResponseWriter, q request) {
	var err error
	if registrystore.ValidDigest(q.reference) {
		err = h.store.DeleteManifest(q.repository, q.reference)
	} else {
		err = h.store.DeleteTag(q.repository, q.reference)
	}
	h.deleted(w, codeManifestUnknown, err)
}

func (h *handler) deleteBlob(w http.ResponseWriter, digest string) {
	h.deleted(w, codeBlobUnknown, h.store.RemoveBlob(digest))
}

func (h *handler) deleted(w http.ResponseWriter, code string, err error) {
	switch {
	case errors.Is(err, registrystore.ErrNotFound):
		fail(w, http.StatusNotFound, code, err.Error())
	case err != nil:
		h.broken(w, "delete", err)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

func (h *handler) blob(w http.ResponseWriter, r *http.Request, digest string) {
	if !registrystore.ValidDigest(digest) {
		fail(w, http.StatusBadRequest, codeDigestInvalid, strconv.Quote(digest)+" is not a digest of SHA-256")
		return
	}
	if r.Method == http.MethodHead && h.mayWrite {
		// Who pushes asks whether it has to send this, and needs it until the manifest comes.
		if _, err := h.store.Claim(digest); err != nil && !errors.Is(err, registrystore.ErrNotFound) {
			h.broken(w, "keep a blob", err)
			return
		}
	}
	if err := sendBlob(w, r, h.store, digest); errors.Is(err, registrystore.ErrNotFound) {
		fail(w, http.StatusNotFound, codeBlobUnknown, "there is no blob "+digest)
	} else if err != nil {
		h.broken(w, "read a blob", err)
	}
}

// sendBlob sends content of a store. If it fails, nothing has been sent.
func sendBlob(w http.ResponseWriter, r *http.Request, store *registrystore.Store, digest string) error {
	f, _, err := store.Blob(digest)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(digestHeader, digest)
	w.Header().Set("ETag", strconv.Quote(digest))
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}
