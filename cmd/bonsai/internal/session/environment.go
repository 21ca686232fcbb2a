package session

import (
	"context"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/cmd/set/env"

	"bonsai/bootstrap/kube"
)

// Environment is what the containers of a pod would get if they started now: with values from ConfigMaps, fields and
// resources, and with reveal from Secrets too.
func (s *Session) Environment(ctx context.Context, namespace, podName string, reveal bool) ([]kube.ContainerEnv, error) {
	op := "read the environment of pod " + podName + " in " + namespace
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return nil, err
	}
	pod, err := c.client.CoreV1().Pods(namespace).Get(ctx, podName, metav1.GetOptions{})
	if err != nil {
		return nil, s.explain(ctx, op, err)
	}
	r := envReader{pod: pod, reveal: reveal, sources: map[kube.EnvSource]envSource{}}
	for _, from := range sourcesOf(pod) {
		var data map[string]string
		var err error
		if from.Kind == kube.EnvConfigMap {
			var o *corev1.ConfigMap
			if o, err = c.client.CoreV1().ConfigMaps(namespace).Get(ctx, from.Name, metav1.GetOptions{}); err == nil {
				data = o.Data
			}
		} else {
			var o *corev1.Secret
			if o, err = c.client.CoreV1().Secrets(namespace).Get(ctx, from.Name, metav1.GetOptions{}); err == nil {
				data = make(map[string]string, len(o.Data))
				for k, v := range o.Data {
					data[k] = string(v)
				}
			}
		}
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
			return nil, s.explain(ctx, op, err)
		}
		r.sources[from] = envSource{data: data, missing: apierrors.IsNotFound(err), unknown: err != nil && !apierrors.IsNotFound(err)}
	}
	return r.containers(), nil
}

// envSource is a ConfigMap or Secret.
type envSource struct {
	data             map[string]string
	missing, unknown bool
}

// sourcesOf are the ConfigMaps and Secrets in the environment of a pod.
func sourcesOf(pod *corev1.Pod) []kube.EnvSource {
	set := map[kube.EnvSource]bool{}
	for _, c := range allContainers(pod) {
		for _, e := range c.EnvFrom {
			set[sourceOfAll(e)] = true
		}
		for _, e := range c.Env {
			if from := sourceOfOne(e.ValueFrom); from.Kind == kube.EnvConfigMap || from.Kind == kube.EnvSecret {
				from.Key = ""
				set[from] = true
			}
		}
	}
	delete(set, kube.EnvSource{})
	return slices.Collect(maps.Keys(set))
}

func allContainers(pod *corev1.Pod) []corev1.Container {
	return slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
}

// envReader makes environments as the kubelet does (pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables).
type envReader struct {
	pod     *corev1.Pod
	reveal  bool
	sources map[kube.EnvSource]envSource // without keys
}

func (r *envReader) containers() []kube.ContainerEnv {
	var all []kube.ContainerEnv
	for i, c := range allContainers(r.pod) {
		all = append(all, kube.ContainerEnv{Container: c.Name, Init: i < len(r.pod.Spec.InitContainers), Vars: r.container(&c)})
	}
	return all
}

func (r *envReader) container(c *corev1.Container) []kube.EnvVar {
	var list []kube.EnvVar
	known := map[string]*kube.EnvVar{} // copies
	add := func(v kube.EnvVar) {
		list = append(list, v)
		known[v.Name] = &v
	}
	for _, e := range c.EnvFrom {
		from := sourceOfAll(e)
		src := r.sources[from]
		optional := e.ConfigMapRef != nil && truth(e.ConfigMapRef.Optional) || e.SecretRef != nil && truth(e.SecretRef.Optional)
		if src.missing || src.unknown {
			list = append(list, kube.EnvVar{Name: e.Prefix + "*", From: from, Missing: src.missing, Unknown: src.unknown, Optional: optional})
			continue
		}
		for _, k := range slices.Sorted(maps.Keys(src.data)) {
			one := from
			one.Key = k
			add(r.value(e.Prefix+k, src.data[k], one))
		}
	}
	for _, e := range c.Env {
		from := sourceOfOne(e.ValueFrom)
		v := kube.EnvVar{Name: e.Name, From: from}
		switch from.Kind {
		case "":
			v.Value = expand(e.Value, func(name string) (string, bool) {
				other := known[name]
				if other == nil {
					return "", false
				}
				v.Hidden = v.Hidden || other.Hidden
				v.Unknown = v.Unknown || other.Unknown
				return other.Value, true
			})
			if v.Hidden || v.Unknown {
				v.Value = ""
			}
		case kube.EnvConfigMap, kube.EnvSecret:
			of := from
			of.Key = ""
			src := r.sources[of]
			text, ok := src.data[from.Key]
			v = r.value(e.Name, text, from)
			v.Missing, v.Unknown = !ok && !src.unknown, src.unknown
			v.Hidden = v.Hidden && ok
			v.Optional = e.ValueFrom.ConfigMapKeyRef != nil && truth(e.ValueFrom.ConfigMapKeyRef.Optional) ||
				e.ValueFrom.SecretKeyRef != nil && truth(e.ValueFrom.SecretKeyRef.Optional)
		case kube.EnvField:
			v.Value, v.Unknown = r.field(e.ValueFrom)
		case kube.EnvResource:
			v.Value, v.Unknown = r.resource(e.ValueFrom, c)
		default:
			v.Unknown = true
		}
		add(v)
	}
	last := map[string]int{}
	for i := range list {
		last[list[i].Name] = i
	}
	for i := range list {
		list[i].Replaced = last[list[i].Name] != i
	}
	return list
}

func (r *envReader) value(name, text string, from kube.EnvSource) kube.EnvVar {
	v := kube.EnvVar{Name: name, From: from, Hidden: from.Kind == kube.EnvSecret && !r.reveal}
	if !v.Hidden {
		v.Value = text
	}
	return v
}

// field is a field of the pod. Those that kubectl does not read are known from the pod as well.
func (r *envReader) field(from *corev1.EnvVarSource) (value string, unknown bool) {
	p := r.pod
	ips := func(n int, at func(int) string) string {
		list := make([]string, n)
		for i := range list {
			list[i] = at(i)
		}
		return strings.Join(list, ",")
	}
	switch from.FieldRef.FieldPath {
	case "spec.nodeName":
		value = p.Spec.NodeName
	case "spec.serviceAccountName":
		value = p.Spec.ServiceAccountName
	case "status.hostIP":
		value = p.Status.HostIP
	case "status.hostIPs":
		value = ips(len(p.Status.HostIPs), func(i int) string { return p.Status.HostIPs[i].IP })
	case "status.podIP":
		value = p.Status.PodIP
	case "status.podIPs":
		value = ips(len(p.Status.PodIPs), func(i int) string { return p.Status.PodIPs[i].IP })
	default:
		value, err := env.GetEnvVarRefValue(nil, p.Namespace, nil, from, p, nil)
		return value, err != nil
	}
	return value, value == "" // not placed yet, or without an address
}

// resource is a request or limit of a container. What is not set is the node's, which the kubelet fills in.
func (r *envReader) resource(from *corev1.EnvVarSource, c *corev1.Container) (value string, unknown bool) {
	if other := from.ResourceFieldRef.ContainerName; other != "" && other != c.Name {
		all := allContainers(r.pod)
		at := slices.IndexFunc(all, func(o corev1.Container) bool { return o.Name == other })
		if at < 0 {
			return "", true
		}
		c = &all[at]
	}
	kind, resource, _ := strings.Cut(from.ResourceFieldRef.Resource, ".")
	list := c.Resources.Requests
	if kind == "limits" {
		list = c.Resources.Limits
	}
	if _, ok := list[corev1.ResourceName(resource)]; !ok && kind == "limits" {
		return "", true
	}
	value, err := env.GetEnvVarRefValue(nil, r.pod.Namespace, nil, from, r.pod, c)
	return value, err != nil
}

func truth(b *bool) bool { return b != nil && *b }

func sourceOfAll(e corev1.EnvFromSource) kube.EnvSource {
	switch {
	case e.ConfigMapRef != nil:
		return kube.EnvSource{Kind: kube.EnvConfigMap, Name: e.ConfigMapRef.Name}
	case e.SecretRef != nil:
		return kube.EnvSource{Kind: kube.EnvSecret, Name: e.SecretRef.Name}
	}
	return kube.EnvSource{}
}

func sourceOfOne(e *corev1.EnvVarSource) kube.EnvSource {
	switch {
	case e == nil:
	case e.ConfigMapKeyRef != nil:
		return kube.EnvSource{Kind: kube.EnvConfigMap, Name: e.ConfigMapKeyRef.Name, Key: e.ConfigMapKeyRef.Key}
	case e.SecretKeyRef != nil:
		return kube.EnvSource{Kind: kube.EnvSecret, Name: e.SecretKeyRef.Name, Key: e.SecretKeyRef.Key}
	case e.FieldRef != nil:
		return kube.EnvSource{Kind: kube.EnvField, Name: e.FieldRef.FieldPath}
	case e.ResourceFieldRef != nil:
		return kube.EnvSource{Kind: kube.EnvResource, Name: e.ResourceFieldRef.Resource}
	case e.FileKeyRef != nil:
		return kube.EnvSource{Kind: kube.EnvFile, Name: e.FileKeyRef.Path, Key: e.FileKeyRef.Key}
	}
	return kube.EnvSource{}
}

// expand puts values in the place of "$(NAME)"; "$$" is a single dollar sign, and a name that is not known stays as it is
// (third_party/forked/golang/expansion of k8s.io/kubernetes).
func expand(text string, value func(name string) (string, bool)) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		switch text[i] {
		case '$':
			b.WriteByte('$')
		case '(':
			end := strings.IndexByte(text[i:], ')')
			if end < 0 {
				b.WriteString("$(")
				continue
			}
			name := text[i+1 : i+end]
			i += end
			if v, ok := value(name); ok {
				b.WriteString(v)
			} else {
				b.WriteString("$(" + name + ")")
			}
		default:
			b.WriteByte('$')
			b.WriteByte(text[i])
		}
	}
	return b.String()
}
