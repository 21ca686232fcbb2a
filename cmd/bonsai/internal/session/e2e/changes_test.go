package e2e

import (
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/kube"
	"bonsai/cmd/bonsai/internal/session"
	"bonsai/test/e2e/harness"
)

// testChanges: what a change would do is known before it is made, and going back to a revision brings the template back.
func testChanges(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	deployment(t, n, "web", 1)
	ref := kube.Ref{Type: deployments, Namespace: n.Namespace, Name: "web"}
	quiet := func(string) {}
	image := func() string {
		o, err := n.Client.AppsV1().Deployments(n.Namespace).Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return o.Spec.Template.Spec.Containers[0].Image
	}
	o, err := n.Client.AppsV1().Deployments(n.Namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	before, container := image(), o.Spec.Template.Spec.Containers[0].Name
	a := kube.Action{Verb: kube.VerbSetImage, Ref: ref, Images: map[string]string{container: "nothing.test/web:2"}}
	d, err := s.Preview(t.Context(), a)
	if err != nil || !strings.Contains(d.After, "image: nothing.test/web:2") || !strings.Contains(d.Before, before) || image() != before {
		t.Errorf("%+v, %v; it is %s now", d, err, image())
	}
	for name, bad := range map[string]kube.Action{
		"an amount":   {Verb: kube.VerbSetResources, Ref: ref, Resources: map[string]kube.Resources{container: {Requests: map[string]string{"cpu": "2"}, Limits: map[string]string{"cpu": "1"}}}},
		"no replicas": {Verb: kube.VerbScale, Ref: ref, Replicas: -1},
	} {
		if _, err := s.Preview(t.Context(), bad); err == nil {
			t.Errorf("%s: nothing is wrong with it", name)
		}
	}
	if err := s.Do(t.Context(), a, quiet); err != nil {
		t.Fatal(err)
	}
	var list []kube.Revision
	harness.Until(t, limit, "the second revision", func() (err error) {
		if list, err = s.Revisions(t.Context(), ref); err == nil && len(list) < 2 {
			err = errDone
		}
		return err
	})
	if !list[0].Current || list[0].Number != 2 || !strings.Contains(list[0].Template, "nothing.test/web:2") || !strings.Contains(list[1].Template, before) {
		t.Errorf("%+v", list)
	}
	back := kube.Action{Verb: kube.VerbRollback, Ref: ref, Revision: 1}
	if d, err = s.Preview(t.Context(), back); err != nil || !strings.Contains(d.After, before) {
		t.Errorf("%+v, %v", d, err)
	}
	if err := s.Do(t.Context(), back, quiet); err != nil || image() != before {
		t.Errorf("it is %s, %v", image(), err)
	}
}

// testValuesAndRelations: of a pod with a Secret in its environment.
func testValuesAndRelations(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	core := n.Client.CoreV1()
	if _, err := core.Secrets(n.Namespace).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "db"}, StringData: map[string]string{"password": "hunter"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p := n.Pod("web", harness.Testpod, "serve")
	p.Spec.Containers[0].Env = []corev1.EnvVar{
		{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "db"}, Key: "password"}}},
		{Name: "URL", Value: "db:$(PASSWORD)"}, {Name: "NODE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}},
	}
	n.Create(t, p)
	node := n.WaitReady(t, "web").Spec.NodeName
	for _, reveal := range []bool{false, true} {
		list, err := s.Environment(t.Context(), n.Namespace, "web", reveal)
		if err != nil || len(list) != 1 || len(list[0].Vars) != 3 {
			t.Fatalf("%+v, %v", list, err)
		}
		vars := list[0].Vars
		if vars[0].Hidden == reveal || vars[1].Hidden == reveal || reveal && vars[1].Value != "db:hunter" || !reveal && vars[0].Value+vars[1].Value != "" || vars[2].Value != node {
			t.Errorf("revealed %v: %+v", reveal, vars)
		}
	}
	secret := kube.Ref{Type: kube.ResourceType{Version: "v1", Resource: "secrets", Kind: "Secret", Namespaced: true}, Namespace: n.Namespace, Name: "db"}
	r, err := s.Relations(t.Context(), secret)
	if err != nil || len(r.UsedBy) != 1 || r.UsedBy[0].Ref.Name != "web" || !slices.Equal(r.UsedBy[0].Kinds, []kube.RelationKind{kube.RelationEnv}) {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = s.Relations(t.Context(), kube.Ref{Type: pods, Namespace: n.Namespace, Name: "web"})
	if err != nil || r.Uses.State != "Running" || r.Uses.Bad || !slices.ContainsFunc(r.Uses.Children, func(c kube.Relation) bool { return c.Ref.Name == "db" && !c.Missing }) {
		t.Errorf("%+v, %v", r, err)
	}
}

// testAccess: the API server and RBAC say the same of a ServiceAccount without rights and of the administrator.
func testAccess(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	q := kube.AccessQuery{Verb: "list", Type: pods, Namespace: n.Namespace}
	mine, err := s.Access(t.Context(), q)
	if err != nil || !mine.Allowed || len(mine.Grants) == 0 {
		t.Errorf("%+v, %v", mine, err)
	}
	q.Who = kube.Subject{Kind: "ServiceAccount", Namespace: n.Namespace, Name: "default"}
	if theirs, err := s.Access(t.Context(), q); err != nil || theirs.Allowed || slices.ContainsFunc(theirs.Grants, func(g kube.Grant) bool { return g.Who == q.Who }) {
		t.Errorf("%+v, %v", theirs, err)
	}
	if rights, err := s.Rights(t.Context(), q.Who); err != nil || len(rights) == 0 { // those of everybody who is known
		t.Errorf("%+v, %v", rights, err)
	}
}

// testCronJobs: one runs now, and is suspended.
func testCronJobs(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	spec := n.Pod("x", harness.Testpod, "serve").Spec
	spec.RestartPolicy = corev1.RestartPolicyNever
	jobs := n.Client.BatchV1()
	_, err := jobs.CronJobs(n.Namespace).Create(t.Context(), &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "report"}, Spec: batchv1.CronJobSpec{
		Schedule: "0 0 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: spec}}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ref := kube.Ref{Type: kube.ResourceType{Group: "batch", Version: "v1", Resource: "cronjobs", Kind: "CronJob", Namespaced: true}, Namespace: n.Namespace, Name: "report"}
	quiet := func(string) {}
	if d, err := s.Preview(t.Context(), kube.Action{Verb: kube.VerbRun, Ref: ref, JobName: "report-now"}); err != nil || !strings.Contains(d.After, "name: report-now") {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := jobs.Jobs(n.Namespace).Get(t.Context(), "report-now", metav1.GetOptions{}); err == nil {
		t.Error("the job exists although it was only tried")
	}
	if err := s.Do(t.Context(), kube.Action{Verb: kube.VerbRun, Ref: ref, JobName: "report-now"}, quiet); err != nil {
		t.Fatal(err)
	}
	job, err := jobs.Jobs(n.Namespace).Get(t.Context(), "report-now", metav1.GetOptions{})
	if err != nil || !metav1.IsControlledBy(job, &metav1.ObjectMeta{UID: job.OwnerReferences[0].UID}) || job.OwnerReferences[0].Name != "report" {
		t.Errorf("%+v, %v", job, err)
	}
	if err := s.Do(t.Context(), kube.Action{Verb: kube.VerbSuspend, Ref: ref}, quiet); err != nil {
		t.Fatal(err)
	}
	if o, err := jobs.CronJobs(n.Namespace).Get(t.Context(), "report", metav1.GetOptions{}); err != nil || o.Spec.Suspend == nil || !*o.Spec.Suspend {
		t.Errorf("%+v, %v", o, err)
	}
}
