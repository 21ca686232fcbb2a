package keyspace

import (
	"bytes"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRedact(t *testing.T) {
	const secret = "hunter2"
	m := memory{}
	key := secretsPrefix + "shop/db"
	m.store(t, key, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: "db", Namespace: "shop", UID: "u1", Labels: map[string]string{"app": "shop"},
			Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: `{"stringData":{"password":"` + secret + `"}}`},
		},
		Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"password": []byte(secret), "user": []byte("me")},
	})
	if !bytes.Contains(m[key], []byte(secret)) {
		t.Fatal("the stored object has no secret to begin with")
	}
	got, keep := Redact(key, m[key])
	if !keep || bytes.Contains(got, []byte(secret)) || bytes.Contains(got, []byte("me\x12")) {
		t.Errorf("kept %v: %q", keep, got)
	}
	m[key] = got
	s := read[corev1.Secret](t, m, key)
	if len(s.Data) != 2 || string(s.Data["password"]) != RemovedValue || s.Labels["app"] != "shop" || s.UID != "u1" || s.Type != corev1.SecretTypeOpaque {
		t.Errorf("it is %+v", s)
	}

	for name, value := range map[string]string{"encrypted": "k8s:enc:aescbc:v1:key1:xyz", "nothing": ""} {
		if _, keep := Redact(key, []byte(value)); keep {
			t.Errorf("one that is %s is kept", name)
		}
	}
	for _, other := range []string{configMapsPrefix + "shop/db", "/registry/secretstores/x"} {
		if got, keep := Redact(other, []byte("as it is")); !keep || string(got) != "as it is" {
			t.Errorf("%s: kept %v, %q", other, keep, got)
		}
	}
}
