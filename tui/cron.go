package tui

import (
	"context"
	"strconv"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/kube"
)

// This file has what can be done with CronJobs and Jobs.

func needsCronJob(u *ui, s *subject) string {
	if s.ref.Type.Resource != "cronjobs" {
		return u.T("only for CronJobs")
	}
	return ""
}

func needsSuspend(u *ui, s *subject) string {
	switch s.ref.Type.Resource {
	case "cronjobs", "jobs":
		return ""
	}
	return u.T("only for CronJobs and Jobs")
}

// runCronJob creates a Job of a CronJob now, and opens it.
func (u *ui) runCronJob(s *subject) {
	// A name of 63 characters with what is appended: the pods of a Job have more behind it.
	base := s.ref.Name[:min(len(s.ref.Name), 52)]
	job := base + "-" + strconv.FormatInt(u.clock.now().Unix()%1e9, 36)
	ref := kube.Ref{Type: kube.ResourceType{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job", Namespaced: true}, Namespace: s.ref.Namespace, Name: job}
	a := kube.Action{Verb: kube.VerbRun, Ref: s.ref, JobName: job}
	title := u.T("run %s now", s.name())
	entry := u.record(actionCommand(a))
	u.work(title, func(ctx context.Context, report func(string)) error { return u.session.Do(ctx, a, report) }, func(err error) {
		entry.end(u, err)
		if err != nil {
			u.fail(err)
			return
		}
		u.did(u.T("%s: job %s is created", title, job), &undo{u.T("undo: %s", title), func() {
			u.undo = nil
			u.do(kube.Action{Verb: kube.VerbDelete, Ref: ref, Grace: -1}, u.T("delete %s", (&subject{ref: ref}).name()))
		}})
	})
}

// suspend suspends a CronJob or Job, or lets it run again.
func (u *ui) suspend(s *subject) {
	what, ref := s.name(), s.ref
	fetch(u, func(ctx context.Context) (bool, error) {
		text, err := u.session.YAML(ctx, ref)
		if err != nil {
			return false, err
		}
		return isSuspended(text)
	}, func(suspended bool, err error) {
		switch {
		case err != nil:
			u.fail(err)
		case suspended:
			u.do(kube.Action{Verb: kube.VerbResume, Ref: ref}, u.T("resume %s", what))
		case ref.Type.Resource == "jobs":
			u.askLater(u.T("suspend %s?", what), []string{u.T("its pods are deleted until it is resumed"), u.T("cluster: %s", u.session.Name())}, u.T("Suspend"), func() {
				u.do(kube.Action{Verb: kube.VerbSuspend, Ref: ref}, u.T("suspend %s", what))
			})
		default:
			u.do(kube.Action{Verb: kube.VerbSuspend, Ref: ref}, u.T("suspend %s", what))
		}
	})
}

func isSuspended(text string) (bool, error) {
	var o struct {
		Spec struct {
			Suspend bool `yaml:"suspend"`
		} `yaml:"spec"`
	}
	err := yaml.Unmarshal([]byte(text), &o)
	return o.Spec.Suspend, err
}
