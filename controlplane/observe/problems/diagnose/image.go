package diagnose

import (
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// image looks for an image that is not available. The reasons are those of pkg/kubelet/images/types.go.
func (d *diagnosis) image(c container) bool {
	w := c.status.State.Waiting
	if w == nil {
		return false
	}
	image := c.spec.Image
	p := cluster.Problem{
		Kind: cluster.ProblemImage, Severity: cluster.SeverityError, Container: c.spec.Name, Since: scheduledAt(c.pod),
		Summary: "image " + image + " cannot be pulled",
	}
	load := cluster.Bonsai("image", "load").On(image).Change()
	switch w.Reason {
	case "ErrImageNeverPull":
		p.Summary = "image " + image + " is not on node " + c.pod.Spec.NodeName
		p.Cause = "imagePullPolicy is Never, so it is not pulled" + d.elsewhere(image)
		p.Advice = advise("load it", load.Cure())
	case "InvalidImageName":
		p.Summary = "image " + image + " is not the name of an image"
		p.Cause, p.Advice = oneLine(w.Message), advise("correct the name; it is NAME:TAG in lower case, perhaps with a registry before it")
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed", "ImageInspectError":
		var loadable bool
		p.Cause, p.Advice, loadable = pullFailure(image, c.pod.Namespace, pullError(w.Message))
		p.Cause += d.elsewhere(image)
		if loadable {
			p.Advice = append(p.Advice, cluster.Advise("if this machine has it, load it", load.Cure()))
			// A loaded image does not help if the registry is asked each time.
			if c.spec.ImagePullPolicy == corev1.PullAlways {
				p.Advice = append(p.Advice, cluster.Advise("and set imagePullPolicy: IfNotPresent, or the registry is asked anyway"))
			}
		}
		// kubelet_pods.go
		if e := d.eventOf(c.pod.UID, func(e *corev1.Event) bool { return e.Reason == "FailedToRetrieveImagePullSecret" }); e != nil {
			if names := between(e.Message, "image pull secrets (", ")"); names != "" {
				p.Cause += "; imagePullSecrets names " + names + ", which cannot be read"
			}
		}
		if text := pullError(w.Message); text != "" {
			p.Evidence = []string{oneLine(text)}
		}
	default:
		return false
	}
	d.add(finding{Problem: p, of: d.ownerOf(c.pod), pod: c.pod, key: image})
	return true
}

// elsewhere says where an image is that a node lacks, or under which other names.
func (d *diagnosis) elsewhere(image string) string {
	switch known, _ := d.ask(Question{Topic: ImageOn, Name: image}); {
	case len(known.Nodes) > 0:
		return "; it is loaded on " + listed(known.Nodes) + " only"
	case len(known.Lines) > 0:
		return "; nodes have it as " + listed(known.Lines) + ", but not by this digest"
	}
	return ""
}

// FindImage answers where an image is: Nodes that have it under this name. If it is named by digest and none has, Lines are
// the tags under which they have images of that repository.
func FindImage(name string, byNode map[string][]cluster.NodeImage) (a Answer) {
	ref, err := reference.ParseDockerRef(name)
	if err != nil {
		return a
	}
	for _, n := range slices.Sorted(maps.Keys(byNode)) {
		for _, i := range byNode[n] {
			switch {
			case i.Name == ref.String():
				a.Nodes = append(a.Nodes, n)
			case strings.HasPrefix(i.Name, ref.Name()+":") && !slices.Contains(a.Lines, i.Name):
				a.Lines = append(a.Lines, i.Name)
			}
		}
	}
	if _, byDigest := ref.(reference.Digested); !byDigest || len(a.Nodes) > 0 {
		a.Lines = nil
	}
	return a
}

// pullError is the runtime's message, without what kubelet (image_manager.go) and containerd add to it:
//
//	Back-off pulling image "x": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image "x": failed to resolve image: x: not found
func pullError(message string) string {
	text := message
	if strings.HasPrefix(text, "Back-off pulling image") {
		rest, ok := after(text, `": `)
		if !ok {
			return "" // the first error has not been noted
		}
		text = rest
	}
	for _, prefix := range []string{"ErrImagePull: ", "RegistryUnavailable: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	text = plainError(text)
	if strings.HasPrefix(text, "failed to pull and unpack image ") {
		if rest, ok := after(text, `": `); ok {
			text = rest
		}
	}
	return text
}

// pullFailure says in plain words why an image could not be pulled. loadable means that loading it may help.
func pullFailure(image, namespace, text string) (cause string, advice []cluster.Advice, loadable bool) {
	registry := registryOf(image)
	login := cluster.Kubectl("create", "secret", "docker-registry", "NAME").In(namespace).Fill("NAME", "USER", "PASSWORD").Change().
		With("--docker-server", registry, "--docker-username", "USER", "--docker-password", "PASSWORD")
	start := cluster.Bonsai("start").Change()
	lower := strings.ToLower(text)
	has := func(parts ...string) bool { return containsAny(lower, parts...) }
	switch {
	case text == "":
		return "the registry did not provide it", nil, true
	case has("no space left on device", "disk quota exceeded"):
		return "the disk is full", advise("make room; see what takes it", cluster.Program("docker", "system", "df")), false
	case has("proxy authentication required"):
		return "the proxy of the nodes requires a login",
			advise("write it into HTTPS_PROXY as http://USER:PASSWORD@HOST:PORT, then start again", start), true
	case has("proxyconnect"):
		return "the nodes cannot reach their proxy, which HTTPS_PROXY or HTTP_PROXY named at the last start",
			advise("correct the variable or unset it, then start again", start), true
	case has("429", "too many requests", "toomanyrequests"):
		return registry + " refuses further pulls for now: too many pulls from this address",
			advise("log in, or use a mirror", start.With("--registry-mirror", "URL").Fill("URL")), true
	case has("x509", "certificate"):
		return "the certificate of " + registry + " is not trusted by the nodes",
			advise("name the authority that they are to trust", start.With("--registry-ca", "FILE").Fill("FILE")), true
	case has("http response to https client"):
		return registry + " speaks http, but nodes use https",
			advise("say that it speaks http", start.With("--registry-mirror", registry+"=http://"+registry)), true
	case has("no match for platform", "no matching manifest"):
		return "the image is not made for this machine's architecture", advise("build or choose one that is"), false
	case has("pull access denied", "may require authorization", "insufficient_scope"):
		return registry + " has no such image, or requires a login for it",
			append(advise("check name and tag"), cluster.Advise("if it is private, create a login and name it in the pod's imagePullSecrets", login)), true
	case has("401", "403", "unauthorized", "authorization failed", "no basic auth credentials", "forbidden", "denied"):
		return registry + " requires a login for it",
			advise("create a login and name it in the pod's imagePullSecrets", login), true
	case has("no such host", "server misbehaving", "dial tcp", "i/o timeout", "connection refused", "connection reset", "network is unreachable",
		"no route to host", "handshake timeout", "deadline exceeded", "unexpected eof", "service unavailable", "bad gateway", "failed to do request"):
		return "the nodes cannot reach " + registry, nil, true
	case has("not found", "manifest unknown", "name unknown", "does not exist"):
		return registry + " has no such image: the name or tag is wrong, or it was never pushed", nil, true
	}
	return oneLine(text), nil, true
}

// registryOf is the host in an image name, according to the reference grammar of containers.
func registryOf(image string) string {
	host, _, ok := strings.Cut(image, "/")
	if ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		return host
	}
	return "docker.io"
}
