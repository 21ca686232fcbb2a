package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"bonsai/bootstrap/registrystore"
)

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// uploads receives blobs: in one request (POST), in two (POST, PUT), or in pieces (POST, PATCH…, PUT).
func (h *handler) uploads(w http.ResponseWriter, r *http.Request, q request) {
	if q.reference == "" {
		if r.Method != http.MethodPost {
			fail(w, http.StatusMethodNotAllowed, codeUnsupported, r.Method+" is not possible here")
			return
		}
		h.beginUpload(w, r, q)
		return
	}
	u, err := h.store.Resume(q.reference)
	if errors.Is(err, registrystore.ErrNotFound) {
		fail(w, http.StatusNotFound, codeUploadUnknown, "there is no such upload")
		return
	}
	if err != nil {
		h.broken(w, "continue an upload", err)
		return
	}
	defer func() { _ = u.Close() }() // what is finished or aborted is closed already
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.progress(w, q, u, http.StatusNoContent)
	case http.MethodPatch:
		if !h.follows(w, r, q, u) {
			return
		}
		if err := u.Append(r.Body); err != nil {
			fail(w, http.StatusBadRequest, codeUploadInvalid, "the content ended early: "+err.Error())
			return
		}
		h.progress(w, q, u, http.StatusAccepted)
	case http.MethodPut:
		if !h.follows(w, r, q, u) {
			return
		}
		h.finish(w, r, q, u)
	case http.MethodDelete:
		if err := u.Abort(); err != nil {
			h.broken(w, "end an upload", err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		fail(w, http.StatusMethodNotAllowed, codeUnsupported, r.Method+" is not possible here")
	}
}

func (h *handler) beginUpload(w http.ResponseWriter, r *http.Request, q request) {
	query := r.URL.Query()
	// All repositories share their content.
	if mounted := query.Get("mount"); registrystore.ValidDigest(mounted) {
		if _, err := h.store.Claim(mounted); err == nil {
			h.created(w, q, mounted)
			return
		}
	}
	u, err := h.store.Begin()
	if err != nil {
		h.broken(w, "begin an upload", err)
		return
	}
	defer func() { _ = u.Close() }() // what is finished or aborted is closed already
	if query.Get("digest") != "" {
		h.finish(w, r, q, u)
		return
	}
	h.progress(w, q, u, http.StatusAccepted)
}

// follows checks that a piece begins where the one before it ended.
func (h *handler) follows(w http.ResponseWriter, r *http.Request, q request, u *registrystore.Upload) bool {
	text := strings.TrimPrefix(r.Header.Get("Content-Range"), "bytes ")
	if text == "" {
		return true
	}
	first, _, _ := strings.Cut(text, "-")
	if n, err := strconv.ParseInt(first, 10, 64); err == nil && n == u.Size() {
		return true
	}
	h.progress(w, q, u, http.StatusRequestedRangeNotSatisfiable)
	return false
}

// progress says how much of an upload has been received, and where it goes on.
func (h *handler) progress(w http.ResponseWriter, q request, u *registrystore.Upload, status int) {
	w.Header().Set("Location", "/v2/"+q.repository+"/blobs/uploads/"+u.ID)
	w.Header().Set("Docker-Upload-UUID", u.ID)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(u.Size()-1, 0)))
	w.Header().Set("Content-Length", "0")
	if status == http.StatusNoContent {
		w.Header().Del("Content-Length")
	}
	w.WriteHeader(status)
}

// finish receives the rest of an upload, and makes it a blob.
func (h *handler) finish(w http.ResponseWriter, r *http.Request, q request, u *registrystore.Upload) {
	digest := r.URL.Query().Get("digest")
	if !registrystore.ValidDigest(digest) {
		fail(w, http.StatusBadRequest, codeDigestInvalid, strconv.Quote(digest)+" is not a digest of SHA-256")
		return
	}
	if err := u.Append(r.Body); err != nil {
		fail(w, http.StatusBadRequest, codeUploadInvalid, "the content ended early: "+err.Error())
		return
	}
	err := u.Commit(digest)
	switch {
	case errors.Is(err, registrystore.ErrDigest):
		fail(w, http.StatusBadRequest, codeDigestInvalid, err.Error())
	case err != nil:
		h.broken(w, "keep a blob", err)
	default:
		h.created(w, q, digest)
	}
}

func (h *handler) created(w http.ResponseWriter, q request, digest string) {
	w.Header().Set("Location", "/v2/"+q.repository+"/blobs/"+digest)
	w.Header().Set(digestHeader, digest)
	w.WriteHeader(http.StatusCreated)
}
