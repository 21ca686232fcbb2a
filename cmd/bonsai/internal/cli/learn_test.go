package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/statedir"
	"bonsai/cmd/bonsai/internal/learn"
	"bonsai/cmd/bonsai/internal/learn/condition"
)

// fakeWorld is a cluster in the file world.json of the current folder, which scripts replace to do what a learner does.
type fakeWorld struct {
	Namespaces []string                      `json:"namespaces"`
	Things     map[string][]condition.Object `json:"objects"` // by namespace and resource, with a slash between
	Answers    map[string]condition.Answer   `json:"answers"` // by topic and what is asked
}

const worldFile = "world.json"

func fakeLessons(state statedir.Cluster, _ *localapi.Client) (learn.World, func(), error) {
	if os.Getenv("FAKE") == "stopped" {
		return nil, nil, fault.Newf(fault.NotRunning, "cluster %q is not running", state.Name)
	}
	w, err := readWorld()
	return w, func() {}, err
}

func readWorld() (*fakeWorld, error) {
	w := &fakeWorld{}
	data, err := os.ReadFile(worldFile)
	if errors.Is(err, os.ErrNotExist) {
		return w, nil
	}
	return w, errors.Join(err, json.Unmarshal(data, w))
}

func (w *fakeWorld) save() error {
	data, err := json.Marshal(w)
	return errors.Join(err, statedir.WriteFile(worldFile, data))
}

func (w *fakeWorld) Apply(_ context.Context, namespace, _ string, objects []condition.Object) error {
	if !slices.Contains(w.Namespaces, namespace) {
		w.Namespaces = append(w.Namespaces, namespace)
	}
	for _, o := range objects {
		k, _ := condition.KindOf(o["apiVersion"].(string), o["kind"].(string))
		if w.Things == nil {
			w.Things = map[string][]condition.Object{}
		}
		key := namespace + "/" + k.Resource
		w.Things[key] = append(w.Things[key], o)
	}
	return w.save()
}

func (w *fakeWorld) Remove(_ context.Context, namespace, _ string) error {
	w.Namespaces = slices.DeleteFunc(w.Namespaces, func(n string) bool { return n == namespace })
	for key := range w.Things {
		if strings.HasPrefix(key, namespace+"/") {
			delete(w.Things, key)
		}
	}
	return w.save()
}

func (w *fakeWorld) Exists(_ context.Context, namespace string) (bool, error) {
	return slices.Contains(w.Namespaces, namespace), nil
}

func (w *fakeWorld) Read(context.Context, []condition.Need) (condition.View, error) { return w, nil }

// Follow looks at the file until it is as f wants it.
func (w *fakeWorld) Follow(ctx context.Context, _ []condition.Need, _ bool, f func(condition.View) error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := readWorld()
		if err != nil { // it is being written
			now = w
		}
		if err := f(now); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *fakeWorld) Objects(k condition.Kind, namespace string) []condition.Object {
	return w.Things[namespace+"/"+k.Resource]
}

func (w *fakeWorld) Ask(_ context.Context, q condition.Question) condition.Answer {
	return w.Answers[string(q.Topic)+" "+q.Of]
}

func (*fakeWorld) Now() time.Time { return time.Now() }
