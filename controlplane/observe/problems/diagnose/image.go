package diagnose

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// image looks for an image that cannot be had. The reasons are those of pkg/kubelet/images/types.go.
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
	load := "image load " + image
	loadHint := "if this machine has it, load it:  bonsai image load -p " + d.Cluster + " " + image
	// What is loaded does not count where the registry is asked each time.
	if c.spec.ImagePullPolicy == corev1.PullAlways {
		loadHint += "\nand set imagePullPolicy: IfNotPresent, or the registry is asked all the same"
	}
	switch w.Reason {
	case "ErrImageNeverPull":
		p.Summary = "image " + image + " is not on node " + c.pod.Spec.NodeName
		p.Cause = "imagePullPolicy is Never, so that nobody tries to pull it"
		p.Hint, p.Fix = "load it:  bonsai image load -p "+d.Cluster+" "+image, load
	case "InvalidImageName":
		p.Summary = "image " + image + " is no name of an image"
		p.Cause, p.Hint = oneLine(w.Message), "correct the name; it is NAME:TAG in small letters, perhaps with a registry before it"
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed", "ImageInspectError":
		cause, hint, loadable := pullFailure(image, pullError(w.Message))
		p.Cause = cause
		switch {
		case hint == "":
			p.Hint = loadHint
		case loadable:
			p.Hint = hint + "\n" + loadHint
		default:
			p.Hint = hint
		}
		if loadable {
			p.Fix = load
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

// pullError is what the runtime said, without what kubelet (image_manager.go) and containerd put around it:
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

// pullFailure says in plain words why an image could not be pulled. loadable says that it may help to load it.
func pullFailure(image, text string) (cause, hint string, loadable bool) {
	registry := registryOf(image)
	lower := strings.ToLower(text)
	has := func(parts ...string) bool { return containsAny(lower, parts...) }
	switch {
	case text == "":
		return "the registry did not give it", "", true
	case has("no space left on device", "disk quota exceeded"):
		return "the disk is full", "make room:  docker system df  shows what takes it", false
	case has("429", "too many requests", "toomanyrequests"):
		return registry + " does not serve more for now: too many pulls from this address",
			"log in, or use a mirror:  bonsai start --registry-mirror URL", true
	case has("x509", "certificate"):
		return "the certificate of " + registry + " is not trusted by the nodes",
			"tell them whose to trust:  bonsai start --registry-ca FILE", true
	case has("http response to https client"):
		return registry + " speaks http, and nodes ask with https",
			"say so:  bonsai start --registry-mirror " + registry + "=http://" + registry, true
	case has("no match for platform", "no matching manifest"):
		return "the image is not made for this machine's architecture", "build or choose one that is", false
	case has("pull access denied", "may require authorization", "insufficient_scope"):
		return registry + " has no such image, or gives it only to those who log in",
			"check name and tag; if it is private:  bonsai kubectl -- create secret docker-registry  and name that in imagePullSecrets", true
	case has("401", "403", "unauthorized", "authorization failed", "no basic auth credentials", "forbidden", "denied"):
		return registry + " gives it only to those who log in",
			"bonsai kubectl -- create secret docker-registry  makes a login; name it in the pod's imagePullSecrets", true
	case has("no such host", "server misbehaving", "dial tcp", "i/o timeout", "connection refused", "connection reset", "network is unreachable",
		"no route to host", "handshake timeout", "deadline exceeded", "unexpected eof", "service unavailable", "bad gateway", "failed to do request"):
		return "the nodes cannot reach " + registry, "", true
	case has("not found", "manifest unknown", "name unknown", "does not exist"):
		return registry + " has no such image: a mistake in name or tag, or it was never pushed", "", true
	}
	return oneLine(text), "", true
}

// registryOf is the host that an image name leads to, as the reference grammar of containers has it.
func registryOf(image string) string {
	host, _, ok := strings.Cut(image, "/")
	if ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		return host
	}
	return "docker.io"
}
