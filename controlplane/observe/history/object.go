package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"bonsai/bootstrap/cluster"
)

// registry is the prefix of the keys of all objects.
const registry = "/registry/"

// unrecorded are the first elements of keys whose changes say nothing about what somebody wanted: who is alive and who
// leads, Events, which are a record themselves, and the allocators of addresses and ports.
var unrecorded = []string{"leases", "masterleases", "peerserverleases", "events", "ranges"}

// recorded reports whether the changes of a key are recorded.
func recorded(key []byte) bool {
	rest, ok := bytes.CutPrefix(key, []byte(registry))
	if !ok {
		return false
	}
	first, _, _ := bytes.Cut(rest, []byte("/"))
	return Records(string(first))
}

// Records reports whether changes of objects of a type are recorded.
func Records(resource string) bool { return !slices.Contains(unrecorded, resource) }

// identity is what a key says about its object. The group is empty for what is built in: then it is in the value.
type identity struct{ group, resource, namespace, name string }

// oldNames are the types that the API server stores under other names than theirs.
var oldNames = map[string]string{"minions": "nodes", "controllers": "replicationcontrollers", "ingress": "ingresses"}

// identify reads a key.
func identify(key string) (id identity, ok bool) {
	elements := strings.Split(strings.TrimPrefix(key, registry), "/")
	switch first := elements[0]; {
	case strings.Contains(first, ".") && len(elements) > 1: // a group
		id.group, id.resource, elements = first, elements[1], elements[2:]
	case first == "services" && len(elements) > 1:
		id.resource, elements = map[string]string{"specs": "services", "endpoints": "endpoints"}[elements[1]], elements[2:]
	default:
		id.resource, elements = first, elements[1:]
		if name := oldNames[first]; name != "" {
			id.resource = name
		}
	}
	switch len(elements) {
	case 1:
		id.name = elements[0]
	case 2:
		id.namespace, id.name = elements[0], elements[1]
	}
	return id, id.resource != "" && id.name != ""
}

// object is the content of an object as in JSON.
type object map[string]any

func (o object) text(fields ...string) string {
	s, _, _ := unstructured.NestedString(o, fields...)
	return s
}

func (o object) metadata() map[string]any {
	m, _ := o["metadata"].(map[string]any)
	return m
}

// errUnreadable means that a stored object cannot be read: it is encrypted, or of a type that is not known here.
var errUnreadable = errors.New("the content of the object cannot be read")

// decoder reads objects as the API server stores them.
type decoder struct {
	builtin, extensions *protobuf.Serializer
	scheme              *runtime.Scheme // of the extensions
}

// protobufPrefix begins what is stored as protobuf; all else is JSON, or encrypted.
var protobufPrefix = []byte("k8s\x00")

func newDecoder() (*decoder, error) {
	extensions := runtime.NewScheme()
	install.Install(extensions)
	if err := apiregistration.AddToScheme(extensions); err != nil {
		return nil, err
	}
	return &decoder{
		builtin: protobuf.NewSerializer(scheme.Scheme, scheme.Scheme), extensions: protobuf.NewSerializer(extensions, extensions), scheme: extensions,
	}, nil
}

// kind returns the type of a stored object without reading the rest of it; empty if that is not possible.
func kind(value []byte) schema.GroupVersionKind {
	data, ok := bytes.CutPrefix(value, protobufPrefix)
	if !ok {
		var head struct{ APIVersion, Kind string }
		if json.Unmarshal(value, &head) != nil {
			return schema.GroupVersionKind{}
		}
		return schema.FromAPIVersionAndKind(head.APIVersion, head.Kind)
	}
	var head runtime.Unknown
	if head.Unmarshal(data) != nil {
		return schema.GroupVersionKind{}
	}
	return schema.FromAPIVersionAndKind(head.APIVersion, head.Kind)
}

// decode reads a stored object; nil if there is none.
func (d *decoder) decode(value []byte) (object, error) {
	if len(value) == 0 {
		return nil, nil
	}
	if !bytes.HasPrefix(value, protobufPrefix) {
		var o map[string]any
		if err := utiljson.Unmarshal(value, &o); err != nil { // whole numbers are int64, as in what clients get
			return nil, errUnreadable
		}
		if object(o).text("apiVersion") != apiextensionsv1beta1.SchemeGroupVersion.String() {
			return o, nil
		}
		var definition apiextensionsv1beta1.CustomResourceDefinition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o, &definition); err != nil {
			return nil, fmt.Errorf("%w: %w", errUnreadable, err)
		}
		return d.asServed(&definition, definition.GroupVersionKind())
	}
	typed, gvk, err := d.builtin.Decode(value, nil, nil)
	if runtime.IsNotRegisteredError(err) {
		typed, gvk, err = d.extensions.Decode(value, nil, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return d.asServed(typed, *gvk)
}

// asServed is a stored object as clients get it.
func (d *decoder) asServed(stored runtime.Object, gvk schema.GroupVersionKind) (object, error) {
	typed, gvk, err := d.served(stored, gvk)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	content["apiVersion"], content["kind"] = gvk.GroupVersion().String(), gvk.Kind
	return content, nil
}

// served converts definitions of custom resources, which are stored in a version that is not served any more.
func (d *decoder) served(stored runtime.Object, gvk schema.GroupVersionKind) (runtime.Object, schema.GroupVersionKind, error) {
	old, ok := stored.(*apiextensionsv1beta1.CustomResourceDefinition)
	if !ok {
		return stored, gvk, nil
	}
	var internal apiextensions.CustomResourceDefinition
	var now apiextensionsv1.CustomResourceDefinition
	if err := errors.Join(d.scheme.Convert(old, &internal, nil), d.scheme.Convert(&internal, &now, nil)); err != nil {
		return nil, gvk, err
	}
	return &now, apiextensionsv1.SchemeGroupVersion.WithKind(gvk.Kind), nil
}

// name is how an object is named; value is one of its values.
func (id identity) object(value []byte) cluster.ObjectName {
	n := cluster.ObjectName{Resource: id.resource, Namespace: id.namespace, Name: id.name}
	if gvk := kind(value); gvk.Kind != "" {
		if gvk.Group == apiextensionsv1beta1.GroupName {
			gvk.Version = apiextensionsv1.SchemeGroupVersion.Version // as it is served
		}
		n.APIVersion, n.Kind = gvk.GroupVersion().String(), gvk.Kind
	}
	return n
}

// manager is the owner of the fields that were changed last.
func manager(o object) (name string, at time.Time) {
	list, _ := o.metadata()["managedFields"].([]any)
	for _, e := range list {
		m, _ := e.(map[string]any)
		text, _ := m["time"].(string)
		if t, err := time.Parse(time.RFC3339, text); err == nil && !t.Before(at) {
			name, _ = m["manager"].(string)
			at = t
		}
	}
	return name, at
}
