package bootstrap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/wait"
)

const (
	// manifestsLimit bounds the wait for the objects of one manifest, and for the kinds that others define.
	manifestsLimit = time.Minute
	// manifestsManager owns the fields of what is applied.
	manifestsManager = "bonsai-file"
)

// unapplied is a spec as it is stored before its manifests are applied: it does not say that they are.
func unapplied(current *cluster.Spec, wanted cluster.Spec) *cluster.Spec {
	wanted.Manifests = slices.Clone(wanted.Manifests)
	for i, m := range wanted.Manifests {
		if current == nil || !slices.Contains(current.Manifests, m) {
			wanted.Manifests[i].Hash = ""
		}
	}
	return &wanted
}

// applyManifests applies those manifests of a wish that the cluster does not have yet, in their order, with the kubectl of
// this executable. The cluster is as wished apart from that, and stays so if one fails; it is applied again with the next
// command that has it.
func (o *operation) applyManifests(ctx context.Context, list []plan.Manifest) error {
	if o.Wanted.Spec == nil {
		return nil
	}
	applied := unapplied(o.Current.Spec, *o.Wanted.Spec)
	defines := slices.ContainsFunc(list, func(m plan.Manifest) bool { return strings.Contains(m.Data, "CustomResourceDefinition") })
	waiting := 0
	for i, m := range applied.Manifests {
		at := slices.IndexFunc(list, func(w plan.Manifest) bool { return w.Source == m.Source })
		if m.Hash != "" || at < 0 {
			continue
		}
		if !o.Wanted.Running {
			waiting++
			continue
		}
		err := o.rec.step("manifest/"+m.Source, "Objects of "+m.Source, func(waitingFor func(string)) error {
			return o.applyManifest(ctx, list[at], defines, waitingFor)
		})
		if err != nil {
			return err
		}
		applied.Manifests[i].Hash = list[at].Hash()
		if err := o.state.SaveSpec(applied); err != nil {
			return err
		}
	}
	if waiting > 0 {
		o.rec.warn("manifests", "the cluster does not run: its manifests are applied when it starts")
	}
	return nil
}

// applyPending applies manifests that the cluster should have and has not received: it did not run when a file named them, or one
// was refused. They are read again. The cluster runs whatever becomes of them, so trouble with one is a warning.
func (o *operation) applyPending(ctx context.Context) {
	if o.env.Manifests == nil {
		return
	}
	again := cluster.Advise("repeat it with the file that names it", cluster.Bonsai("apply").Of(o.state.Name).With("-f", "FILE").Fill("FILE").Change())
	var list []plan.Manifest
	for _, m := range o.Wanted.Spec.Manifests {
		if m.Hash != "" {
			continue
		}
		read, err := o.env.Manifests(ctx, m.Source)
		if err != nil {
			o.rec.warnOf("manifest/"+m.Source, fault.New(fault.State, "read the objects of "+m.Source, err), again)
			continue
		}
		list = append(list, read...)
	}
	if len(list) == 0 {
		return
	}
	if err := o.applyManifests(ctx, list); err != nil {
		o.rec.warnOf("manifests", o.explain(ctx, err), again)
	}
}

// applyManifest applies one. Kinds that are defined at the same time exist a moment later.
func (o *operation) applyManifest(ctx context.Context, m plan.Manifest, defines bool, waitingFor func(string)) error {
	limited, cancel := o.limit(ctx, manifestsLimit, "the objects of "+m.Source)
	defer cancel()
	args := []string{"apply", "--server-side", "--force-conflicts", "--field-manager=" + manifestsManager, "-f", "-"}
	for {
		said, err := o.env.Kubectl(limited, o.state.Name, args, strings.NewReader(m.Data))
		if err == nil {
			return nil
		}
		missing := strings.Contains(said, "no matches for kind") || strings.Contains(said, "could not find the requested resource")
		if limited.Err() == nil && defines && missing {
			waitingFor("kinds that it or another manifest defines")
			if wait.Pause(limited, time.Second) == nil {
				continue
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f := fault.New(fault.ControlPlane, fmt.Sprintf("apply the objects of %s", m.Source), err).WithEvidence(componentlog.Troubles(said, evidenceLines)...).
			Advise("correct it and repeat the command; the cluster runs")
		return f
	}
}
