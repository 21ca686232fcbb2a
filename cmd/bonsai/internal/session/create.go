package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// mostNew bounds how many objects one text creates.
const mostNew = 100

// newObject is an object of a text, with its type.
type newObject struct {
	ref kube.Ref
	o   *unstructured.Unstructured
	// within says that the same text creates its namespace.
	within bool
}

// PreviewCreate is what Create would create of a text, in its order. The API server checks each object, and stores none.
func (s *Session) PreviewCreate(ctx context.Context, namespace, text string) ([]kube.NewObject, error) {
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, list, err := s.newObjects(ctx, namespace, text)
	if err != nil {
		return nil, err
	}
	all := make([]kube.NewObject, 0, len(list))
	for _, n := range list {
		op, made := "create "+name(n.ref), n.o
		if !n.within {
			if made, err = s.createOne(ctx, c, op, n, []string{metav1.DryRunAll}); err != nil {
				return nil, err
			}
		}
		made.SetUID("") // that of the object will be another one
		text, err := yamlOf(op, made)
		if err != nil {
			return nil, err
		}
		all = append(all, kube.NewObject{Ref: n.ref, YAML: text, Unchecked: n.within})
	}
	return all, nil
}

// Create creates the objects of a text, in its order. It stops at the first that fails, and returns those that it has created.
func (s *Session) Create(ctx context.Context, namespace, text string) ([]kube.Ref, error) {
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, list, err := s.newObjects(ctx, namespace, text)
	if err != nil {
		return nil, err
	}
	var done []kube.Ref
	for _, n := range list {
		made, err := s.createOne(ctx, c, "create "+name(n.ref), n, nil)
		if err != nil {
			return done, err
		}
		n.ref.Name, n.ref.UID = made.GetName(), string(made.GetUID())
		done = append(done, n.ref)
	}
	return done, nil
}

func (s *Session) createOne(ctx context.Context, c *conn, op string, n newObject, dryRun []string) (*unstructured.Unstructured, error) {
	// A mistyped field would be lost silently otherwise.
	options := metav1.CreateOptions{FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun}
	o, err := c.resource(n.ref).Create(ctx, n.o, options)
	if err = s.explain(ctx, op, err); fault.KindOf(err) == fault.Conflict {
		return nil, fault.Newf(fault.Conflict, "%s: there is one of this name already", op).Advise("choose another name, or edit the one that exists")
	}
	return o, err
}

// newObjects reads a text, and finds the types of its objects.
func (s *Session) newObjects(ctx context.Context, namespace, text string) (*conn, []newObject, error) {
	const op = "read the text"
	objects, err := parseObjects(text)
	if err != nil {
		return nil, nil, fault.New(fault.Usage, op, err).Advise("correct the text; nothing was created")
	}
	types, err := s.Types(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := s.api()
	if err != nil {
		return nil, nil, err
	}
	list, err := typed(objects, types, namespace)
	if err != nil {
		return nil, nil, fault.New(fault.Usage, op, err).Advise("correct the text; nothing was created")
	}
	return c, list, nil
}

// parseObjects reads YAML documents, each of which is one object.
func parseObjects(text string) ([]*unstructured.Unstructured, error) {
	var list []*unstructured.Unstructured
	reader := yamlutil.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for at := 1; ; at++ {
		part, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(part, &o.Object); err != nil {
			return nil, fmt.Errorf("object %d: %w", at, err)
		}
		if len(o.Object) == 0 { // comments
			continue
		}
		switch {
		case o.GetAPIVersion() == "" || o.GetKind() == "":
			return nil, fmt.Errorf("object %d: apiVersion or kind is missing", at)
		case o.IsList():
			return nil, fmt.Errorf("object %d: it is a list; separate objects by lines of ---", at)
		case o.GetName() == "" && o.GetGenerateName() == "":
			return nil, fmt.Errorf("object %d: metadata.name is missing", at)
		case len(list) == mostNew:
			return nil, fmt.Errorf("there are more than %d objects", mostNew)
		}
		list = append(list, o)
	}
	if len(list) == 0 {
		return nil, errors.New("it has no object")
	}
	return list, nil
}

// typed finds the types of objects. Those that name no namespace get the given one.
func typed(objects []*unstructured.Unstructured, types []kube.ResourceType, namespace string) ([]newObject, error) {
	var list []newObject
	created := map[string]bool{}
	for _, o := range objects {
		i := slices.IndexFunc(types, func(t kube.ResourceType) bool { return gvk(t) == o.GroupVersionKind() })
		if i < 0 {
			return nil, fmt.Errorf("the API server has no %s of %s", o.GetKind(), o.GetAPIVersion())
		}
		n := newObject{ref: kube.Ref{Type: types[i], Name: o.GetName()}, o: o}
		if n.ref.Name == "" {
			n.ref.Name = o.GetGenerateName()
		}
		if types[i].Namespaced {
			if o.GetNamespace() == "" {
				o.SetNamespace(namespace)
			}
			n.ref.Namespace = o.GetNamespace()
			n.within = created[n.ref.Namespace]
		} else if o.GetNamespace() != "" {
			return nil, fmt.Errorf("%s/%s has metadata.namespace, but is in none", types[i].Resource, n.ref.Name)
		}
		if types[i].Group == "" && types[i].Resource == "namespaces" {
			created[o.GetName()] = true
		}
		list = append(list, n)
	}
	return list, nil
}
