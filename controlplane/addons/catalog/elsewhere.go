package catalog

import (
	"strings"

	"bonsai/bootstrap/cluster"
)

// Fate is what became of an addon that is known but not available.
type Fate string

// The fates.
const (
	Coming   Fate = "coming"   // a later version of bonsai has it
	Replaced Fate = "replaced" // another addon does the same
	Retired  Fate = "retired"  // its authors gave it up, or nobody maintains it
)

// Entry is a known name of an addon that is not available.
type Entry struct {
	Name string
	Fate Fate
	// By is the addon that replaces it; it may not be available either.
	By string
	// Since is the year and month of that, as "2022-08"; it is known for all retired addons.
	Since string
	// Reason completes a sentence: why it was retired or replaced, or what it does.
	Reason string
	// Instead is what to type or do; it may be empty.
	Instead []cluster.Advice
}

// Story describes the fate in one line that follows the name.
func (e Entry) Story() string {
	if e.Fate == Coming {
		return "is not in this version of bonsai yet: " + e.Reason
	}
	return "is " + string(e.Fate) + " " + e.Summary()
}

// Summary describes everything except the fate itself.
func (e Entry) Summary() string {
	var words []string
	if e.By != "" {
		words = append(words, "by "+e.By)
	}
	if e.Since != "" {
		words = append(words, "since "+e.Since)
	}
	if len(words) == 0 {
		return e.Reason
	}
	return strings.Join(words, " ") + ": " + e.Reason
}

// instead is the only thing to do.
func instead(text string, commands ...cluster.Command) []cluster.Advice {
	return []cluster.Advice{cluster.Advise(text, commands...)}
}

// elsewhere is every addon of minikube, and older names that people still type, unless it is available here. Dates are
// those of the projects themselves, or of the last substantial change to minikube's manifests if there is no project
// any more.
func elsewhere() []Entry {
	return []Entry{
		{Name: "ambassador", Fate: Retired, Since: "2021-08", Reason: "its operator has not worked since, and has no maintainer", Instead: instead("install Emissary-ingress from its own chart")},
		{Name: "amd-gpu-device-plugin", Fate: Coming, Reason: "GPUs of AMD in pods"},
		{Name: "auto-pause", Fate: Coming, Reason: "pauses a cluster that is not in use", Instead: instead("meanwhile", cluster.Bonsai("stop").Change())},
		{Name: "cloud-spanner", Fate: Coming, Reason: "an emulator of Google's Spanner"},
		{Name: "coredns", Fate: Replaced, By: "dns", Reason: "bonsai has a DNS server of its own, which reads CoreDNS's configuration"},
		{Name: "csi-hostpath-driver", Fate: Coming, Reason: "a CSI driver with snapshots", Instead: instead("volumes without snapshots work", cluster.Bonsai("addons", "enable").On("storage-provisioner").Change())},
		{Name: "efk", Fate: Retired, Since: "2022-11", Reason: "minikube refuses it because of Log4j vulnerabilities in its Elasticsearch 5.6", Instead: instead("install a log collector from its own chart; logs of pods", cluster.Kubectl("logs", "POD").Fill("POD"))},
		{Name: "freshpod", Fate: Retired, Since: "2022-05", Reason: "it needs Docker as the container runtime, whose support Kubernetes 1.24 removed", Instead: instead("load the new image and restart the pods that use it", cluster.Bonsai("image", "load", "IMAGE").Fill("IMAGE").Change())},
		{Name: "gcp-auth", Fate: Coming, Reason: "credentials of Google Cloud in pods"},
		{Name: "gvisor", Fate: Coming, Reason: "pods in gVisor's sandbox"},
		{Name: "headlamp", Fate: Coming, Reason: "a web UI for clusters"},
		{Name: "heapster", Fate: Replaced, By: "metrics-server", Since: "2018-11", Reason: "Kubernetes retired Heapster"},
		{Name: "helm-tiller", Fate: Retired, Since: "2020-11", Reason: "Helm 2 has reached its end of life, and Helm 3 needs nothing in the cluster", Instead: instead("helm install works as it is")},
		{Name: "inaccel", Fate: Retired, Since: "2022-05", Reason: "it has not changed since it was added"},
		{Name: "ingress", Fate: Replaced, By: "gateway", Since: "2026-03", Reason: "ingress-nginx, which minikube has here, was archived"},
		{Name: "inspektor-gadget", Fate: Coming, Reason: "looks into nodes and pods with eBPF"},
		{Name: "istio", Fate: Retired, Since: "2024-11", Reason: "Istio 1.24 removed the operator that it consists of", Instead: instead("install Istio with istioctl or from its own chart")},
		{Name: "istio-provisioner", Fate: Retired, Since: "2024-11", Reason: "Istio 1.24 removed the operator that it consists of", Instead: instead("install Istio with istioctl or from its own chart")},
		{Name: "kong", Fate: Coming, Reason: "the Kong ingress controller"},
		{Name: "kube-dns", Fate: Replaced, By: "dns", Reason: "that is only the name of its Service"},
		{Name: "kubeflow", Fate: Retired, Since: "2024-05", Reason: "it has no maintainer and stays at Kubeflow 1.8", Instead: instead("install Kubeflow from its own manifests")},
		{Name: "kubetail", Fate: Coming, Reason: "logs of many pods in one view"},
		{Name: "kubevirt", Fate: Coming, Reason: "virtual machines as pods"},
		{Name: "logviewer", Fate: Retired, Since: "2021-01", Reason: "it has no maintainer, and only its formatting has changed since", Instead: instead("", cluster.Kubectl("logs", "POD").Fill("POD"))},
		{Name: "metallb", Fate: Replaced, By: "loadbalancer", Reason: "it needs no images, and reads MetalLB's annotations"},
		{Name: "nvidia-device-plugin", Fate: Coming, Reason: "GPUs of NVIDIA in pods"},
		{Name: "nvidia-driver-installer", Fate: Replaced, By: "nvidia-device-plugin", Reason: "it is for minikube's KVM machines; nodes of bonsai use the machine's own driver"},
		{Name: "nvidia-gpu-device-plugin", Fate: Replaced, By: "nvidia-device-plugin", Since: "2024-12", Reason: "minikube merged the two"},
		{Name: "olm", Fate: Retired, Since: "2021-08", Reason: "its manifests stay at OLM 0.17", Instead: instead("install OLM", cluster.Program("operator-sdk", "olm", "install").Change())},
		{Name: "pod-security-policy", Fate: Retired, Since: "2022-08", Reason: "Kubernetes 1.25 removed that API", Instead: instead("use Pod Security labels", cluster.Kubectl("label", "namespace", "NAME", "pod-security.kubernetes.io/enforce=baseline").Fill("NAME").Change())},
		{Name: "portainer", Fate: Coming, Reason: "a web UI for clusters"},
		{Name: "registry-aliases", Fate: Replaced, By: "registry", Reason: "its setting aliases gives the registry more names", Instead: instead("", cluster.Bonsai("addons", "configure").On("registry", "aliases=registry.test").Change())},
		{Name: "registry-creds", Fate: Retired, Since: "2021-01", Reason: "it has not changed since", Instead: append(
			instead("give the nodes credentials", cluster.Bonsai("start").With("--registry-mirror", "REGISTRY=https://USER:PASSWORD@REGISTRY").Fill("REGISTRY", "USER", "PASSWORD").Change()),
			cluster.Advise("or give pods imagePullSecrets"))},
		{Name: "storage-provisioner-rancher", Fate: Replaced, By: "storage-provisioner", Reason: "it supports several nodes as well"},
		{Name: "traefik", Fate: Coming, Reason: "the Traefik ingress controller"},
		{Name: "volcano", Fate: Coming, Reason: "a scheduler for batch jobs"},
		{Name: "volumesnapshots", Fate: Coming, Reason: "snapshots of volumes"},
		{Name: "yakd", Fate: Coming, Reason: "a web UI for clusters"},
	}
}
