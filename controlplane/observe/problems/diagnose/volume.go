package diagnose

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"bonsai/bootstrap/cluster"
)

const (
	claimGrace     = 4 * time.Second
	provisionGrace = 20 * time.Second // for a provisioner of another vendor
	// mountAgain is more than the longest pause of kubelet before it retries a mount.
	mountAgain = 3 * time.Minute
	// DefaultClassAnnotation marks the class of claims that name no class.
	defaultClassAnnotation = "storageclass.kubernetes.io/is-default-class"
)

// claims looks at claims that have no volume.
func (d *diagnosis) claims() {
	for _, c := range d.Claims {
		if c.DeletionTimestamp == nil {
			d.claim(c)
		}
	}
}

func (d *diagnosis) claim(c *corev1.PersistentVolumeClaim) {
	f := finding{of: owner{"persistentvolumeclaim", c.Namespace, c.Name}, Problem: cluster.Problem{
		Kind: cluster.ProblemClaim, Severity: cluster.SeverityWarning, Since: c.CreationTimestamp.Time, Summary: "the claim has no volume",
		Advice: advise("", cluster.Kubectl("describe", "pvc").On(c.Name).In(c.Namespace)),
	}}
	switch c.Status.Phase {
	case corev1.ClaimLost:
		f.Severity, f.Summary, f.Cause = cluster.SeverityError, "the claim has lost its volume", "volume "+c.Spec.VolumeName+" does not exist any more, and its data is lost"
		d.add(f)
		return
	case corev1.ClaimPending, "":
	default:
		return
	}
	if !d.over(c.CreationTimestamp.Time, claimGrace) {
		return
	}
	class, named := d.classOf(c)
	waits := class != nil && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	failed := d.eventOf(c.UID, func(e *corev1.Event) bool { return e.Reason == "ProvisioningFailed" })
	switch {
	case class == nil && named == "" && c.Spec.StorageClassName != nil:
		f.Cause = "its class is empty, which matches only existing volumes, and none fits"
		f.Advice = advise("create a PersistentVolume, or omit storageClassName")
	case class == nil && named == "":
		f.Cause = "it names no storage class, and the cluster has no default one"
		get := cluster.Bonsai("addons", "enable").On("default-storageclass").Cure()
		f.Advice = advise("get one", get)
		if len(d.Classes) > 0 {
			f.Advice = append(advise("name one of "+listed(d.classNames())+" in the claim"), cluster.Advise("or get a default one", get))
		}
	case class == nil:
		f.Summary += ": storage class " + named + " does not exist" + meant(named, d.classNames())
		f.Cause = "the cluster has " + d.hasClasses()
		f.Advice = advise("the class of a claim cannot be changed: recreate the claim with another one")
	case failed != nil && !(waits && strings.Contains(failed.Message, "selected-node")):
		f.Cause = provisionFailure(failed.Message)
	case waits:
		return // for a pod; if a pod waits for the claim, the scheduler says why
	case class.Provisioner == "kubernetes.io/no-provisioner":
		f.Cause = "class " + class.Name + " does not create volumes, and no existing one fits"
		f.Advice = advise("create a PersistentVolume of that class")
	case !d.over(c.CreationTimestamp.Time, provisionGrace):
		return
	default:
		f.Cause = "nothing creates volumes of class " + class.Name + " (provisioner " + class.Provisioner + ")"
		f.Advice = advise("install that provisioner, or use another class: " + listed(d.classNames()))
		if class.Provisioner == ownProvisioner {
			f.Advice = advise("", cluster.Bonsai("addons", "enable").On("storage-provisioner").Cure())
		}
	}
	d.add(f)
}

// ownProvisioner is that of the addon storage-provisioner.
const ownProvisioner = "bonsai.io/local"

// classOf returns the class of a claim; nil and its name if that does not exist.
func (d *diagnosis) classOf(c *corev1.PersistentVolumeClaim) (*storagev1.StorageClass, string) {
	name := c.Annotations[corev1.BetaStorageClassAnnotation]
	if c.Spec.StorageClassName != nil {
		name = *c.Spec.StorageClassName
	}
	for _, s := range d.Classes {
		if s.Name == name || name == "" && c.Spec.StorageClassName == nil && s.Annotations[defaultClassAnnotation] == "true" {
			return s, s.Name
		}
	}
	return nil, name
}

func (d *diagnosis) classNames() (names []string) {
	for _, c := range d.Classes {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

func (d *diagnosis) hasClasses() string {
	switch names := d.classNames(); len(names) {
	case 0:
		return "no storage class"
	case 1:
		return "the class " + names[0]
	default:
		return "the classes " + listed(names)
	}
}

// provisionFailure drops what the library of provisioners puts before an error.
func provisionFailure(message string) string {
	if rest, ok := after(message, `failed to provision volume with StorageClass "`); ok {
		if _, cause, ok := strings.Cut(rest, `": `); ok {
			return oneLine(plainError(cause))
		}
	}
	return oneLine(message)
}

// claimsOf are the claims that a pod uses.
func claimsOf(p *corev1.Pod) (names []string) {
	for _, v := range p.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil:
			names = append(names, p.Name+"-"+v.Name)
		}
	}
	return names
}

// waitsForClaim reports whether a claim of a pod has, or will have, a problem of its own.
func (d *diagnosis) waitsForClaim(p *corev1.Pod) bool {
	names := claimsOf(p)
	return slices.ContainsFunc(d.Claims, func(c *corev1.PersistentVolumeClaim) bool {
		return c.Namespace == p.Namespace && slices.Contains(names, c.Name) && c.Status.Phase != corev1.ClaimBound
	})
}

// claimReason parses the scheduler's message about a claim (volume_binding.go): `persistentvolumeclaim "x" not found`,
// "… bound to non-existent persistentvolume …", "… is being deleted".
func (d *diagnosis) claimReason(p *corev1.Pod, f *finding, reasons []string) {
	f.Kind = cluster.ProblemClaim
	i := slices.IndexFunc(reasons, func(r string) bool { return strings.Contains(r, "persistentvolumeclaim ") })
	name := between(reasons[i], `persistentvolumeclaim "`, `"`)
	f.key = name
	f.Summary, f.Cause = "is waiting for claim "+name, oneLine(reasons[i])
	f.Advice = advise("see the claims that exist", cluster.Kubectl("get", "pvc").In(p.Namespace))
	if strings.Contains(reasons[i], "not found") {
		var names []string
		for _, c := range d.Claims {
			if c.Namespace == p.Namespace {
				names = append(names, c.Name)
			}
		}
		f.Severity = cluster.SeverityError
		f.Summary, f.Cause = "claim "+name+" does not exist"+meant(name, names), "the pod uses it as a volume"
	}
}

// unmounted looks for volumes that are not mounted for a pod on a node.
func (d *diagnosis) unmounted(p *corev1.Pod, since time.Time) bool {
	e := d.eventOf(p.UID, func(e *corev1.Event) bool {
		switch e.Reason {
		case "FailedMount", "FailedAttachVolume", "FailedMapVolume":
			// The kubelet does not know the pod's objects yet.
			return !containsAny(e.Message, "not registered", "timed out waiting for the condition", "failed to sync")
		}
		return false
	})
	if e == nil || lastSeen(e).Before(since) || d.Now.Sub(lastSeen(e)) > mountAgain {
		return false
	}
	if !d.over(since, mountGrace) {
		return true
	}
	// operation_generator.go: `MountVolume.SetUp failed for volume "cfg" : configmap "x" not found`
	volume := between(e.Message, `for volume "`, `"`)
	cause := e.Message
	if rest, ok := after(e.Message, `for volume "`+volume+`" : `, `for volume "`+volume+`" `); ok && volume != "" {
		cause = rest
	}
	if m, ok := missingIn(cause); ok {
		d.addMissing(p, "", m, "its volume "+volume)
		return true
	}
	if m, ok := missingKeyIn(p, volume, cause); ok {
		d.addMissing(p, "", m, "its volume "+volume)
		return true
	}
	if c := d.emptied(p, volume, cause); c != nil {
		d.add(finding{of: owner{"persistentvolumeclaim", c.Namespace, c.Name}, pod: p, Problem: cluster.Problem{
			Kind: cluster.ProblemClaim, Severity: cluster.SeverityError, Since: since, Summary: "the claim has lost its data",
			Cause: "node " + p.Spec.NodeName + " no longer has the folder of volume " + volume + ": the node was created again without its disk",
			Advice: append(advise("delete the claim, and the pod that uses it; what creates them starts again with an empty volume",
				cluster.Kubectl("delete", "pvc").On(c.Name).In(c.Namespace).With("--wait=false").Change(),
				cluster.Kubectl("delete", "pod").On(p.Name).In(p.Namespace).Change()),
				advise("then create the claim again, unless a StatefulSet does that")...),
		}})
		return true
	}
	f := finding{of: d.ownerOf(p), pod: p, key: volume, Problem: cluster.Problem{
		Kind: cluster.ProblemMount, Severity: cluster.SeverityError, Since: since,
		Summary: "volume " + volume + " cannot be mounted", Cause: oneLine(plainError(cause)), Advice: describe(p),
	}}
	if volume == "" {
		f.Summary = "its volumes cannot be mounted"
	}
	explainMount(&f, p, volume, e.Message)
	d.add(f)
	return true
}

// ownVolumes is where the addon storage-provisioner has the agents put the folders of volumes.
const ownVolumes = "/var/lib/bonsai/volumes/"

// emptied returns the claim of a volume whose folder the node no longer has (pkg/volume/local), nil
// if that is not what is wrong. Folders of other volumes are made by the user, who may make them again.
func (d *diagnosis) emptied(p *corev1.Pod, volume, cause string) *corev1.PersistentVolumeClaim {
	if !strings.Contains(cause, ownVolumes) || !containsAny(cause, "does not exist", "no such file or directory") {
		return nil
	}
	for _, c := range d.Claims {
		if c.Namespace == p.Namespace && c.Spec.VolumeName == volume && slices.Contains(claimsOf(p), c.Name) {
			return c
		}
	}
	return nil
}

// missingKeyIn parses "configmap references non-existent config key: K" and "references non-existent secret key: K"
// (pkg/volume/configmap, secret, projected), which name only the key.
func missingKeyIn(p *corev1.Pod, volume, cause string) (m missing, ok bool) {
	key, ok := after(cause, "references non-existent config key: ", "references non-existent secret key: ")
	if !ok {
		return m, false
	}
	m = missing{key: strings.TrimSpace(key), secret: strings.Contains(cause, "secret key: ")}
	for _, v := range p.Spec.Volumes {
		switch {
		case v.Name != volume:
		case v.ConfigMap != nil && !m.secret:
			m.name = v.ConfigMap.Name
		case v.Secret != nil && m.secret:
			m.name = v.Secret.SecretName
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				if s.ConfigMap != nil && !m.secret && slices.ContainsFunc(s.ConfigMap.Items, func(k corev1.KeyToPath) bool { return k.Key == m.key }) {
					m.name = s.ConfigMap.Name
				}
				if s.Secret != nil && m.secret && slices.ContainsFunc(s.Secret.Items, func(k corev1.KeyToPath) bool { return k.Key == m.key }) {
					m.name = s.Secret.Name
				}
			}
		}
	}
	return m, m.name != ""
}
