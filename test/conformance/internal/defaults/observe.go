package defaults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	discovery "k8s.io/api/apidiscovery/v2"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Plane says how to ask a control plane.
type Plane struct {
	// Kubeconfig has all rights.
	Kubeconfig string
	// Metrics are where each component's metrics are: a path of the API server, or a URL.
	Metrics map[string]string
}

// Observe returns the facts of a plane. It changes nothing in it.
func Observe(ctx context.Context, p Plane) (Facts, error) {
	config, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig)
	if err != nil {
		return nil, err
	}
	// The cluster is small and this is its only user.
	config.QPS, config.Burst = -1, 0
	o, err := newObserver(config)
	if err != nil {
		return nil, err
	}
	for _, part := range []func(context.Context) error{o.paths, o.api, o.schemas, o.objects, o.admission, o.flags} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	for component, url := range p.Metrics {
		if err := o.gates(ctx, component, url); err != nil {
			return nil, err
		}
	}
	return o.facts, nil
}

// observer collects the facts of a plane.
type observer struct {
	facts  Facts
	server string
	// client is for the API server. direct is for other components on this machine, which sign their own certificates.
	client, direct *http.Client
	// resources are those of the API, one version of each.
	resources []resource
}

// resource is a kind of object that can be listed.
type resource struct{ group, version, name string }

func newObserver(config *rest.Config) (*observer, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.Insecure, config.CAData, config.CAFile = true, nil, ""
	direct, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return &observer{facts: Facts{}, server: config.Host, client: client, direct: direct}, nil
}

func (o *observer) add(value, format string, args ...any) {
	o.facts[fmt.Sprintf(format, args...)] = value
}

// request returns the body of an answer, whatever its status.
func (o *observer) request(ctx context.Context, method, path, accept, body string) ([]byte, int, error) {
	client, url := o.direct, path
	if strings.HasPrefix(path, "/") {
		client, url = o.client, o.server+path
	}
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Accept", accept)
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	} else if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", path, err)
	}
	return data, answer.StatusCode, nil
}

const anyJSON = "application/json"

// get decodes JSON.
func (o *observer) get(ctx context.Context, path, accept string, into any) error {
	data, status, err := o.request(ctx, http.MethodGet, path, accept, "")
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("GET %s: %d %s", path, status, data)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

// paths: what the server serves, API or not.
func (o *observer) paths(ctx context.Context) error {
	var root struct{ Paths []string }
	if err := o.get(ctx, "/", anyJSON, &root); err != nil {
		return err
	}
	for _, path := range root.Paths {
		o.add("there", "path %s", path)
	}
	return nil
}

// api: every group, version and resource with its verbs and names.
func (o *observer) api(ctx context.Context) error {
	for _, root := range []string{"/api", "/apis"} {
		var groups discovery.APIGroupDiscoveryList
		if err := o.get(ctx, root, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", &groups); err != nil {
			return err
		}
		for _, group := range groups.Items {
			o.group(group)
		}
	}
	return nil
}

func (o *observer) group(group discovery.APIGroupDiscovery) {
	var versions []string
	for _, version := range group.Versions {
		versions = append(versions, version.Version)
		of := version.Version
		if group.Name != "" {
			of = group.Name + "/" + of
		}
		for _, r := range version.Resources {
			var subresources []string
			for _, s := range r.Subresources {
				slices.Sort(s.Verbs)
				subresources = append(subresources, s.Subresource+" "+strings.Join(s.Verbs, ","))
			}
			slices.Sort(subresources)
			slices.Sort(r.Verbs)
			o.add(fmt.Sprintf("%s, %s, singular %s, short %v, categories %v, verbs %v, subresources %v", r.ResponseKind, r.Scope,
				r.SingularResource, r.ShortNames, r.Categories, r.Verbs, subresources), "resource %s %s", of, r.Resource)
			known := slices.ContainsFunc(o.resources, func(k resource) bool { return k.group == group.Name && k.name == r.Resource })
			if slices.Contains(r.Verbs, "list") && !known {
				o.resources = append(o.resources, resource{group.Name, version.Version, r.Resource})
			}
		}
	}
	// The first one is preferred.
	o.add(strings.Join(versions, " "), "API group %s", group.Name)
}

// schemas: OpenAPI's description of each version. The URL that the server gives contains a hash of the content.
func (o *observer) schemas(ctx context.Context) error {
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	if err := o.get(ctx, "/openapi/v3", anyJSON, &index); err != nil {
		return err
	}
	for path, document := range index.Paths {
		o.add(document.ServerRelativeURL, "schema %s", path)
	}
	return nil
}

// flags: the settings of the API server, as it serves them itself since 1.36. Of files only their names count.
func (o *observer) flags(ctx context.Context) error {
	const form = "application/json;g=config.k8s.io;v=v1beta1;as=Flagz"
	data, status, err := o.request(ctx, http.MethodGet, "/flagz", form, "")
	if err != nil || status == http.StatusNotFound {
		return err
	}
	var served struct{ Flags map[string]string }
	if status != http.StatusOK {
		return fmt.Errorf("GET /flagz: %d %s", status, data)
	}
	if err := json.Unmarshal(data, &served); err != nil {
		return fmt.Errorf("GET /flagz: %w", err)
	}
	for name, value := range served.Flags {
		value = files.ReplaceAllString(value, "$1")
		if name == "watch-cache-sizes" { // a list in random order
			sizes := strings.Split(strings.Trim(value, "[]"), ",")
			slices.Sort(sizes)
			value = strings.Join(sizes, ",")
		}
		o.add(value, "flag of kube-apiserver: %s", name)
	}
	return nil
}

// files finds the paths of files, and their names.
var files = regexp.MustCompile(`/[^ ,\[\]]*/([^/ ,\[\]]+)`)

// admission: the plugins that take part in requests, by the metric that counts their calls. Each of the four operations is
// tried once without effect, so that every plugin had its turn.
func (o *observer) admission(ctx context.Context) error {
	const maps = "/api/v1/namespaces/kube-system/configmaps"
	for _, try := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPost, maps + "?dryRun=All", `{"metadata": {"name": "compared-defaults"}}`, http.StatusCreated},
		{http.MethodPatch, maps + "/extension-apiserver-authentication?dryRun=All", `{"metadata": {"annotations": {"compared": "defaults"}}}`, http.StatusOK},
		{http.MethodDelete, maps + "/extension-apiserver-authentication?dryRun=All", "", http.StatusOK},
		{http.MethodGet, "/api/v1/namespaces/kube-system/pods/compared-defaults/proxy", "", http.StatusNotFound},
	} {
		data, status, err := o.request(ctx, try.method, try.path, anyJSON, try.body)
		if err != nil {
			return err
		}
		if status != try.status {
			return fmt.Errorf("%s %s: %d, want %d: %s", try.method, try.path, status, try.status, data)
		}
	}
	const name = "apiserver_admission_controller_admission_duration_seconds"
	metrics, err := o.metrics(ctx, "/metrics", name)
	if err != nil {
		return err
	}
	calls := map[string][]string{}
	for _, l := range metrics {
		call := l["type"] + " " + l["operation"]
		if plugin := l["name"]; !slices.Contains(calls[plugin], call) {
			calls[plugin] = append(calls[plugin], call)
		}
	}
	for plugin, calls := range calls {
		slices.Sort(calls)
		o.add(strings.Join(calls, ", "), "admission plugin %s", plugin)
	}
	return nil
}

// gates: the feature gates of a component, as its metrics report them.
func (o *observer) gates(ctx context.Context, component, url string) error {
	metrics, err := o.metrics(ctx, url, "kubernetes_feature_enabled")
	if err != nil {
		return fmt.Errorf("%s: %w", component, err)
	}
	for _, l := range metrics {
		value := "off"
		if l[valueLabel] == "1" {
			value = "on"
		}
		o.add(value+" "+l["stage"], "feature gate of %s: %s", component, l["name"])
	}
	return nil
}

// valueLabel is where metrics puts the value of a gauge.
const valueLabel = "\x00value"

// metrics returns the labels of each series of a metric; there must be some.
func (o *observer) metrics(ctx context.Context, url, name string) ([]map[string]string, error) {
	data, status, err := o.request(ctx, http.MethodGet, url, "text/plain", "")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %d %s", url, status, data)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(data)))
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", url, err)
	}
	var found []map[string]string
	for _, m := range families[name].GetMetric() {
		found = append(found, labels(m))
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("GET %s: no metric %s", url, name)
	}
	return found, nil
}

func labels(m *dto.Metric) map[string]string {
	found := map[string]string{valueLabel: fmt.Sprint(m.GetGauge().GetValue())}
	for _, l := range m.GetLabel() {
		found[l.GetName()] = l.GetValue()
	}
	return found
}
