package metricsserver

import (
	"fmt"
	"net/http"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	apiopenapi "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/compatibility"
	v1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/metrics-server/pkg/api"
	"sigs.k8s.io/metrics-server/pkg/api/generated/openapi"
)

// newAPI builds upstream's API over what is stored, as a handler for requests that have passed the filters of another server, and as
// that server lists it. Nothing of it runs.
func newAPI(loopback *rest.Config, from api.MetricsGetter, pods cache.GenericLister, nodes v1listers.NodeLister) (http.Handler, apidiscoveryv2.APIVersionDiscovery, error) {
	listed := &captured{ResourceManager: aggregated.NewResourceManager("apis")}
	c := genericapiserver.NewConfig(api.Codecs)
	c.LoopbackClientConfig = loopback
	c.ExternalAddress = "localhost:443" // it has to have one, and shows it in what nobody asks it for
	c.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, apiopenapi.NewDefinitionNamer(api.Scheme))
	c.AggregatedDiscoveryGroupManager = listed
	c.SkipOpenAPIInstallation = true
	c.EnableIndex, c.EnableProfiling, c.EnableMetrics = false, false, false
	c.BuildHandlerChainFunc = func(api http.Handler, _ *genericapiserver.Config) http.Handler { return api }
	server, err := c.Complete(nil).New(Name, genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, apidiscoveryv2.APIVersionDiscovery{}, err
	}
	if err := api.Install(from, pods, nodes, server, nil); err != nil {
		return nil, apidiscoveryv2.APIVersionDiscovery{}, err
	}
	if len(listed.versions) != 1 {
		return nil, apidiscoveryv2.APIVersionDiscovery{}, fmt.Errorf("it has %d versions, not one", len(listed.versions))
	}
	return server.Handler.Director, listed.versions[0], nil
}

// captured keeps what a server would list.
type captured struct {
	aggregated.ResourceManager
	versions []apidiscoveryv2.APIVersionDiscovery
}

// AddGroupVersion implements aggregated.ResourceManager.
func (c *captured) AddGroupVersion(_ string, v apidiscoveryv2.APIVersionDiscovery) {
	c.versions = append(c.versions, v)
}
