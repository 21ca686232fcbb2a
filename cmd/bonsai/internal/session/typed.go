package session

import (
	"encoding/json"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// objectSink keeps the objects of one type as values of T, which may have fewer fields than the API's type. After each
// change and after the list it calls changed.
type objectSink[T any] struct {
	// objects by UID; replaced as a whole by a new list. It belongs to the goroutine that follows.
	objects map[string]T
	ready   bool
	changed func(objects map[string]T) error

	next map[string]T // the list that runs
}

// envelope is what must be known about an object before it is decoded.
type envelope struct {
	Metadata struct {
		UID             string `json:"uid"`
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
}

func (k *objectSink[T]) begin() { k.next, k.ready = map[string]T{}, false }

func (k *objectSink[T]) page(body io.Reader) (listMeta, error) {
	var list struct {
		Metadata listMeta          `json:"metadata"`
		Items    []json.RawMessage `json:"items"`
	}
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return list.Metadata, err
	}
	for _, raw := range list.Items {
		if _, err := decodeInto(raw, k.next); err != nil {
			return list.Metadata, err
		}
	}
	return list.Metadata, nil
}

func decodeInto[T any](raw []byte, objects map[string]T) (version string, err error) {
	var e envelope
	var v T
	if err := json.Unmarshal(raw, &e); err != nil {
		return "", err
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", err
	}
	if m, ok := any(&v).(metav1.Object); ok {
		m.SetManagedFields(nil)
	}
	objects[e.Metadata.UID] = v
	return e.Metadata.ResourceVersion, nil
}

func (k *objectSink[T]) synced() { k.objects, k.next, k.ready = k.next, nil, true }

func (k *objectSink[T]) change(kind watch.EventType, object []byte) (string, error) {
	switch kind {
	case watch.Added, watch.Modified:
		return decodeInto(object, k.objects)
	}
	var e envelope
	err := json.Unmarshal(object, &e)
	if kind == watch.Deleted {
		delete(k.objects, e.Metadata.UID)
	}
	return e.Metadata.ResourceVersion, err
}

func (k *objectSink[T]) flush() error {
	if !k.ready {
		return nil
	}
	return k.changed(k.objects)
}
