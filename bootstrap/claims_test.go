package bootstrap

import (
	"reflect"
	"testing"
)

func TestClaimsOf(t *testing.T) {
	volume := func(where, claim string) string {
		return `{"metadata":{"name":"pvc-1"},"spec":{` + where + `,"claimRef":{"kind":"PersistentVolumeClaim","namespace":"shop","name":"` + claim + `","uid":"1"},
			"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["dev-2"]}]}]}}}}`
	}
	got, err := claimsOf([]byte(`{"kind":"PersistentVolumeList","items":[` +
		volume(`"local":{"path":"/var/lib/bonsai/volumes/pvc-2"}`, "db") + "," +
		volume(`"local":{"path":"/var/lib/bonsai/volumes/pvc-1"}`, "cart") + "," +
		volume(`"nfs":{"server":"a","path":"/b"}`, "elsewhere") + "," +
		`{"metadata":{"name":"unbound"},"spec":{"local":{"path":"/x"}}}]}`))
	if want := (claimsOn{"dev-2": {"shop/cart", "shop/db"}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := claimsOf([]byte("<html>")); err == nil {
		t.Error("what is not a list: no error")
	}
}
