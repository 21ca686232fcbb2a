// Package e2e tests bonsai's promises on a real container engine with real pods. TestCluster starts one cluster of
// three nodes and tests everything that can be tested on a running cluster; the other tests create, damage and delete
// clusters of their own.
package e2e

import (
	"testing"

	"bonsai/test/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestCluster(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	registries := serveRegistries(t)
	c.Start(t, append([]string{"--nodes", "3"}, registries.flags...)...)
	c.LoadImages(t)

	for _, test := range []struct {
		name string
		run  func(*testing.T, *harness.Cluster)
	}{
		{"nodes", testNodes},
		{"status", testStatusOfARunningCluster},
		{"kubeconfig", testKubeconfig},
		{"ssh and logs", testSSHAndLogs},
		{"pod network", testPodNetwork},
		{"services", testServices},
		{"host port and hairpin", testHostPortAndHairpin},
		{"session affinity", testSessionAffinity},
		{"egress", testEgress},
		{"repair of the pod network", testPodNetworkRepair},
		{"birth of a pod", testBirth},
		{"names", testDNSNames},
		{"many addresses of one name", testDNSManyAddresses},
		{"DNS policies of pods", testDNSPolicies},
		{"configuration of DNS", testDNSConfiguration},
		{"DNS made visible", testDNSVisible},
		{"DNS survives its agent", testDNSSurvivesItsAgent},
		{"load", testLoad},
		{"flows", testFlows},
		{"exec, attach and logs", testExecAttachLogs},
		{"port-forward", testPortForward},
		{"cp", testCopy},
		{"proxy", testProxy},
		{"admission webhook", testWebhook},
		{"aggregated API", testAggregatedAPI},
		{"pulls", func(t *testing.T, c *harness.Cluster) { testPulls(t, c, registries) }},
		{"missing image", testMissingImage},
		{"delete and drain", testDeleteAndDrain},
		{"killed components", testKilledComponents},
		{"docker restart", testDockerRestart},
		{"lost node", testLostNode},
		{"second start", testSecondStart},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c) })
	}
}
