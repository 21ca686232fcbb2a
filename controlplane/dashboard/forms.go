package dashboard

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// formField is one field of a form. Label and Hint are English, for Words. Type is that of the input, or "lines" or "choice".
type formField struct {
	Name, Label, Hint, Type, Value string
	Required                       bool
	Choices                        []string
}

// form makes objects of one kind. Title is what the API calls the kind.
type form struct {
	kind, title string
	fields      []formField
}

// forms are those for the kinds that most people create, after that without a form.
var forms = []form{
	{"", "YAML", nil},
	{"deployment", "Deployment", []formField{
		{Name: "name", Label: "name", Type: "text", Required: true},
		{Name: "image", Label: "image", Type: "text", Required: true, Hint: "for example nginx:alpine"},
		{Name: "replicas", Label: "replicas", Type: "number", Value: "1", Required: true},
		{Name: "port", Label: "port", Type: "number", Hint: "where its containers listen; may be empty"},
	}},
	{"service", "Service", []formField{
		{Name: "name", Label: "name", Type: "text", Required: true},
		{Name: "selector", Label: "labels of its pods", Type: "text", Required: true, Hint: "for example app=web"},
		{Name: "port", Label: "port", Type: "number", Value: "80", Required: true},
		{Name: "target", Label: "port of the pods", Type: "number", Hint: "the same if it is empty"},
		{Name: "type", Label: "type", Type: "choice", Value: "ClusterIP", Choices: []string{"ClusterIP", "NodePort", "LoadBalancer"}},
	}},
	{"configmap", "ConfigMap", []formField{
		{Name: "name", Label: "name", Type: "text", Required: true},
		{Name: "data", Label: "entries", Type: "lines", Hint: "one a line, as key=value"},
	}},
	{"job", "Job", []formField{
		{Name: "name", Label: "name", Type: "text", Required: true},
		{Name: "image", Label: "image", Type: "text", Required: true, Hint: "for example busybox"},
		{Name: "command", Label: "command", Type: "text", Hint: "a line for sh; the image's own if it is empty"},
	}},
	{"namespace", "Namespace", []formField{{Name: "name", Label: "name", Type: "text", Required: true}}},
}

// object is a part of an object of the API.
type object = map[string]any

// textOfForm is the YAML of what a form describes. Errors are the fault Usage.
func textOfForm(kind string, v url.Values) (string, error) {
	name := strings.TrimSpace(v.Get("name"))
	if name == "" {
		return "", fault.Newf(fault.Usage, "the name is missing")
	}
	number := func(field string, otherwise, most int) (int, error) {
		text := strings.TrimSpace(v.Get(field))
		if text == "" && otherwise >= 0 {
			return otherwise, nil
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > most {
			return 0, fault.Newf(fault.Usage, "%s: %q is not a number from 0 to %d", field, text, most)
		}
		return n, nil
	}
	meta := object{"name": name}
	if ns := v.Get("ns"); ns != "" && kind != "namespace" {
		meta["namespace"] = ns
	}
	o := object{"apiVersion": "v1", "metadata": meta}
	var err error
	switch kind {
	case "deployment":
		err = deploymentOf(o, name, v, number)
	case "service":
		err = serviceOf(o, v, number)
	case "configmap":
		o["kind"] = "ConfigMap"
		var data map[string]string
		data, err = pairs(strings.Split(strings.ReplaceAll(v.Get("data"), "\r\n", "\n"), "\n"))
		if len(data) > 0 {
			o["data"] = data
		}
	case "job":
		o["apiVersion"], o["kind"] = "batch/v1", "Job"
		container := object{"name": name, "image": strings.TrimSpace(v.Get("image"))}
		if line := strings.TrimSpace(v.Get("command")); line != "" {
			container["command"] = []string{"sh", "-c", line}
		}
		o["spec"] = object{"template": object{"spec": object{"containers": []any{container}, "restartPolicy": "Never"}}}
	case "namespace":
		o["kind"] = "Namespace"
	default:
		err = fault.Newf(fault.Usage, "there is no form for %q", kind)
	}
	if err != nil {
		return "", err
	}
	text, err := yaml.Marshal(o)
	return string(text), err
}

func deploymentOf(o object, name string, v url.Values, number func(string, int, int) (int, error)) error {
	replicas, err := number("replicas", 1, mostReplicas)
	if err != nil {
		return err
	}
	port, err := number("port", 0, 65535)
	if err != nil {
		return err
	}
	container := object{"name": name, "image": strings.TrimSpace(v.Get("image"))}
	if port > 0 {
		container["ports"] = []any{object{"containerPort": port}}
	}
	labels := object{"app": name}
	o["apiVersion"], o["kind"] = "apps/v1", "Deployment"
	o["metadata"].(object)["labels"] = labels
	o["spec"] = object{
		"replicas": replicas, "selector": object{"matchLabels": labels},
		"template": object{"metadata": object{"labels": labels}, "spec": object{"containers": []any{container}}},
	}
	return nil
}

func serviceOf(o object, v url.Values, number func(string, int, int) (int, error)) error {
	port, err := number("port", -1, 65535)
	if err != nil {
		return err
	}
	target, err := number("target", port, 65535)
	if err != nil {
		return err
	}
	selector, err := pairs(strings.Split(v.Get("selector"), ","))
	if err != nil {
		return err
	}
	o["kind"] = "Service"
	spec := object{"ports": []any{object{"port": port, "targetPort": target}}, "type": v.Get("type")}
	if len(selector) > 0 {
		spec["selector"] = selector
	}
	if spec["type"] == "" {
		delete(spec, "type")
	}
	o["spec"] = spec
	return nil
}

// pairs reads lines of key=value.
func pairs(lines []string) (map[string]string, error) {
	all := map[string]string{}
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fault.Newf(fault.Usage, "%q is not key=value", line)
		}
		all[strings.TrimSpace(key)] = value
	}
	return all, nil
}

// lineOfForm is the command of kubectl that creates what a form describes; false if none does exactly that.
func lineOfForm(v url.Values) (c cluster.Command, ok bool) {
	name := strings.TrimSpace(v.Get("name"))
	kind := v.Get("kind")
	if name == "" || !slices.Contains([]string{"deployment", "job", "namespace", "configmap"}, kind) {
		return c, false
	}
	c = cluster.Kubectl("create", kind).On(name).Change()
	if kind != "namespace" {
		c = c.In(v.Get("ns"))
	}
	switch kind {
	case "deployment":
		c = c.With("--image=" + v.Get("image"))
		if n := v.Get("replicas"); n != "" && n != "1" {
			c = c.With("--replicas=" + n)
		}
		if port := v.Get("port"); port != "" {
			c = c.With("--port=" + port)
		}
	case "job":
		c = c.With("--image=" + v.Get("image"))
		if line := v.Get("command"); line != "" {
			c = c.Running(cluster.Program("sh", "-c").On(line))
		}
	case "configmap":
		data, err := pairs(strings.Split(strings.ReplaceAll(v.Get("data"), "\r\n", "\n"), "\n"))
		if err != nil {
			return c, false
		}
		for line := range strings.SplitSeq(strings.ReplaceAll(v.Get("data"), "\r\n", "\n"), "\n") {
			if len(data) > 0 && strings.TrimSpace(line) != "" {
				c = c.With("--from-literal=" + strings.TrimSpace(line))
			}
		}
	}
	return c, true
}
