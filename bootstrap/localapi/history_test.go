package localapi

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// The little daemon repeats what it is asked for.

func (b *backend) History(_ context.Context, q cluster.HistoryQuery) (cluster.History, error) {
	return cluster.History{Hidden: q.Limit, Changes: []cluster.Change{{
		ObjectName: cluster.ObjectName{Resource: q.Type, Namespace: q.Namespace, Name: q.Name}, Time: q.Since, Change: cluster.ChangeUpdated,
		Fields: []cluster.FieldChange{{Path: "spec.replicas", Before: json.RawMessage("2"), After: json.RawMessage("3")}},
	}}}, b.failure()
}

func (b *backend) Differences(_ context.Context, q cluster.DifferenceQuery) ([]cluster.Difference, error) {
	return []cluster.Difference{{ObjectName: cluster.ObjectName{Resource: q.Type, Name: q.Name}, Change: q.At.Format(time.RFC3339)}}, b.failure()
}

func (b *backend) Revert(_ context.Context, r cluster.RevertRequest) (cluster.Reverted, error) {
	return cluster.Reverted{ObjectName: cluster.ObjectName{Resource: r.Type, Name: r.Name}, At: r.At, DryRun: r.DryRun}, b.failure()
}

func TestHistoryRoundTrip(t *testing.T) {
	b := newBackend()
	c, _, _ := serve(t, b)
	object := cluster.ObjectQuery{Type: "deploy", Namespace: "shop", Name: "web"}
	at := time.Unix(1000, 0).UTC()

	q := cluster.HistoryQuery{ObjectQuery: object, Since: at, Limit: 7}
	want, _ := b.History(t.Context(), q)
	if got, err := c.History(t.Context(), q); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("history: got %+v, %v, want %+v", got, err, want)
	}
	differences, err := c.Differences(t.Context(), cluster.DifferenceQuery{ObjectQuery: object, At: at})
	if err != nil || len(differences) != 1 || differences[0].Name != "web" || differences[0].Change != "1970-01-01T00:16:40Z" {
		t.Errorf("differences: %+v, %v", differences, err)
	}
	reverted, err := c.Revert(t.Context(), cluster.RevertRequest{ObjectQuery: object, At: at, DryRun: true})
	if err != nil || reverted.Name != "web" || !reverted.At.Equal(at) || !reverted.DryRun {
		t.Errorf("reverted: %+v, %v", reverted, err)
	}

	b.fail(fault.Newf(fault.ObjectNotFound, "it is not recorded"))
	if _, err := c.Revert(t.Context(), cluster.RevertRequest{ObjectQuery: object}); fault.KindOf(err) != fault.ObjectNotFound {
		t.Errorf("the fault is %v", err)
	}
}
