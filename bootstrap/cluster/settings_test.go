package cluster

import (
	"reflect"
	"strings"
	"testing"
)

func TestSettingsAreReadAsTheyAreTyped(t *testing.T) {
	gates, err := ParseFeatureGates([]string{"A=true,B=false", " C=1"})
	if want := map[string]bool{"A": true, "B": false, "C": true}; err != nil || !reflect.DeepEqual(gates, want) {
		t.Errorf("gates %v, %v", gates, err)
	}
	_, err = ParseFeatureGates([]string{"A", "=true", "B=on"})
	if err == nil || strings.Count(err.Error(), "is not written as") != 3 {
		t.Errorf("got %v", err)
	}
	args, err := ParseArgs([]string{"apiserver.v=4", "apiServer.--audit-log-maxage=3", "controller-manager.controllers=*,-ttl", "scheduler.v="})
	want := map[string]map[string]string{
		ComponentAPIServer: {"v": "4", "audit-log-maxage": "3"}, ComponentControllerManager: {"controllers": "*,-ttl"}, ComponentScheduler: {"v": ""},
	}
	if err != nil || !reflect.DeepEqual(args, want) {
		t.Errorf("arguments %v, %v", args, err)
	}
	_, err = ParseArgs([]string{"apiserver", "apiserver.=1", "kubelet.max-pods=20", "etcd.v=1"})
	for _, part := range []string{"\"apiserver\" is not written", "\"apiserver.=1\" is not written", "the kubelet has no flags here", "\"etcd\" is not one of"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	if s := (Settings{Args: want}); s.Verbosity(ComponentAPIServer) != 4 || s.Verbosity(ComponentScheduler) != 0 || s.IsZero() || !(Settings{}).IsZero() {
		t.Errorf("verbosity %d", s.Verbosity(ComponentAPIServer))
	}
}
