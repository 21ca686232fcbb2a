package keyspace

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// RemovedValue takes the place of what was secret.
const RemovedValue = "removed"

// Redact returns a stored object without what is secret, and whether it may be kept: of Secrets the keys stay and the values
// go, and with them the annotations that repeat them. Secrets that cannot be read, such as encrypted ones, are not kept.
// Objects of other kinds stay as they are; what users write into ConfigMaps or the environment of pods is not known to be secret.
func Redact(key string, value []byte) (redacted []byte, keep bool) {
	if !strings.HasPrefix(key, secretsPrefix) {
		return value, true
	}
	var s corev1.Secret
	if err := decode(key, value, &s); err != nil {
		return nil, false
	}
	for _, name := range slices.Sorted(maps.Keys(s.Data)) {
		s.Data[name] = []byte(RemovedValue)
	}
	s.StringData = nil
	// What kubectl apply and others note is the whole object, and annotations of controllers may be, too.
	s.Annotations = nil
	s.SetGroupVersionKind(core("Secret"))
	var b bytes.Buffer
	if err := codec.Encode(&s, &b); err != nil {
		return nil, false
	}
	return b.Bytes(), true
}
