package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/describe"
	"sigs.k8s.io/yaml"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// callLimit is how long one request may take.
const callLimit = 30 * time.Second

// fieldManager identifies changes through the UI, in an object's managed fields.
const fieldManager = "bonsai-ui"

// name of an object for people.
func name(ref kube.Ref) string {
	if ref.Namespace == "" {
		return ref.Type.Resource + "/" + ref.Name
	}
	return ref.Type.Resource + "/" + ref.Name + " in " + ref.Namespace
}

// get reads one object, and makes sure that it is the intended one.
func (s *Session) get(ctx context.Context, c *conn, op string, ref kube.Ref) (*unstructured.Unstructured, error) {
	o, err := c.resource(ref).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return nil, s.explain(ctx, op, err)
	}
	if ref.UID != "" && string(o.GetUID()) != ref.UID {
		return nil, fault.Newf(fault.ObjectNotFound, "%s: it was deleted, and another object has its name", op)
	}
	return o, nil
}

// YAML of one object.
func (s *Session) YAML(ctx context.Context, ref kube.Ref) (string, error) {
	op := "read " + name(ref)
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return "", err
	}
	o, err := s.get(ctx, c, op, ref)
	if err != nil {
		return "", err
	}
	return yamlOf(op, o)
}

// Object returns one object as the API server has it, managed fields included.
func (s *Session) Object(ctx context.Context, ref kube.Ref) (map[string]any, error) {
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return nil, err
	}
	o, err := s.get(ctx, c, "read "+name(ref), ref)
	if err != nil {
		return nil, err
	}
	return o.Object, nil
}

// Replace changes an object to the given text.
func (s *Session) Replace(ctx context.Context, ref kube.Ref, text string) error {
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return err
	}
	_, err = s.replace(ctx, c, "change "+name(ref), ref, text, nil)
	return err
}

func (s *Session) replace(ctx context.Context, c *conn, op string, ref kube.Ref, text string, dryRun []string) (*unstructured.Unstructured, error) {
	o, err := parseObject(ref, text)
	if err != nil {
		return nil, fault.New(fault.Usage, op, err).Advise("correct the text; nothing was changed")
	}
	// A mistyped field would be lost silently otherwise.
	options := metav1.UpdateOptions{FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun}
	o, err = c.resource(ref).Update(ctx, o, options)
	return o, s.explain(ctx, op, err)
}

// parseObject parses an edited object, and refuses it if it is not the same object any more.
func parseObject(ref kube.Ref, text string) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict([]byte(text), &o.Object); err != nil {
		return nil, err
	}
	if len(o.Object) == 0 {
		return nil, errors.New("the text is empty")
	}
	if got, want := o.GroupVersionKind(), gvk(ref.Type); got != want {
		return nil, fmt.Errorf("it is a %s of %s now, not a %s of %s", got.Kind, got.GroupVersion(), want.Kind, want.GroupVersion())
	}
	for _, f := range []struct{ field, got, want string }{
		{"metadata.name", o.GetName(), ref.Name},
		{"metadata.namespace", o.GetNamespace(), ref.Namespace},
		{"metadata.uid", string(o.GetUID()), ref.UID},
	} {
		if f.got != f.want && (f.want != "" || f.field != "metadata.uid") {
			return nil, fmt.Errorf("%s cannot change from %q to %q", f.field, f.want, f.got)
		}
	}
	if o.GetResourceVersion() == "" {
		return nil, errors.New("metadata.resourceVersion is missing, which says what the change is based on")
	}
	return o, nil
}

// Describe returns the output of "kubectl describe".
func (s *Session) Describe(ctx context.Context, ref kube.Ref) (string, error) {
	op := "describe " + name(ref)
	ctx, cancel := s.limit(ctx, callLimit, "the description of "+name(ref))
	defer cancel()
	c, err := s.api()
	if err != nil {
		return "", err
	}
	config := withContext(ctx, c.config)
	describer, ok := describe.DescriberFor(gvk(ref.Type).GroupKind(), config)
	if !ok {
		scope := meta.RESTScopeRoot
		if ref.Type.Namespaced {
			scope = meta.RESTScopeNamespace
		}
		mapping := &meta.RESTMapping{Resource: gvr(ref.Type), GroupVersionKind: gvk(ref.Type), Scope: scope}
		if describer, ok = describe.GenericDescriberFor(mapping, config); !ok {
			return "", fault.Newf(fault.Internal, "%s: nothing describes objects of this type", op)
		}
	}
	text, err := describer.Describe(ref.Namespace, ref.Name, describe.DescriberSettings{ShowEvents: true, ChunkSize: pageSize})
	return text, s.explain(ctx, op, err)
}

// withContext ends every request of a client with ctx: kubectl's describers accept none.
func withContext(ctx context.Context, config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) { return next.RoundTrip(r.WithContext(ctx)) })
	})
	return config
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
