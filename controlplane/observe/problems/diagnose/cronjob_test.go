package diagnose

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

func TestCronJobs(t *testing.T) {
	const object = "cronjob/shop/report"
	const never = "never starts: it has missed 10 starts"
	lastRan := func(d time.Duration) func(*batchv1.CronJob) {
		return func(c *batchv1.CronJob) { c.Status.LastScheduleTime = new(ago(d)) }
	}
	for name, test := range map[string]struct {
		change []func(*batchv1.CronJob)
		events []*corev1.Event
		state  func(*State)
		wants  []want
	}{
		"its controller is silent": {wants: []want{{cluster.ProblemSchedule, object, never, "its controller has not started it", "bonsai logs kube-controller-manager -p dev"}}},
		"suspended from the beginning": {
			change: []func(*batchv1.CronJob){func(c *batchv1.CronJob) { c.Spec.Suspend = new(true) }},
			wants:  []want{{cluster.ProblemSchedule, object, "has never started", "it is suspended", `patch cronjob report -n shop -p '{"spec":{"suspend":false}}'`}},
		},
		"a job hangs": {
			change: []func(*batchv1.CronJob){lastRan(5 * time.Minute), func(c *batchv1.CronJob) {
				c.Spec.ConcurrencyPolicy, c.Status.Active = batchv1.ForbidConcurrent, []corev1.ObjectReference{{Name: "report-1"}}
			}},
			wants: []want{{
				cluster.ProblemSchedule, object, "does not start any more: it has missed 5 starts", "its job report-1 is still running, and its concurrencyPolicy is Forbid",
				"logs job/report-1 -n shop",
			}},
		},
		"always too late": {
			change: []func(*batchv1.CronJob){func(c *batchv1.CronJob) { c.Spec.StartingDeadlineSeconds = new(int64(1)) }},
			events: []*corev1.Event{eventAbout("CronJob", "cron", "MissSchedule", "Missed scheduled time to start a job: x", time.Minute)},
			wants:  []want{{cluster.ProblemSchedule, object, never, "its startingDeadlineSeconds is 1", "edit cronjob report -n shop"}},
		},
		"its jobs are refused": {
			events: []*corev1.Event{eventAbout("CronJob", "cron", "FailedCreate", `Error creating job: jobs.batch "report-1" is forbidden: exceeded quota: few`, time.Minute)},
			wants:  []want{{cluster.ProblemSchedule, object, never, "exceeded quota: few", "describe cronjob report -n shop"}},
		},
		"unknown zone": {
			change: []func(*batchv1.CronJob){func(c *batchv1.CronJob) { c.Spec.TimeZone = new("Europe/Berlim") }},
			wants:  []want{{cluster.ProblemSchedule, object, "never starts: time zone Europe/Berlim is not known", "Europe/Berlin", "edit cronjob report -n shop"}},
		},
		"no schedule": {
			change: []func(*batchv1.CronJob){func(c *batchv1.CronJob) { c.Spec.Schedule = "every minute" }},
			wants:  []want{{cluster.ProblemSchedule, object, "never starts: its schedule cannot be read", "schedule every minute: ", "edit cronjob report -n shop"}},
		},
		"a text that the parser panics on": {
			change: []func(*batchv1.CronJob){func(c *batchv1.CronJob) { c.Spec.Schedule = "TZ=0" }},
			wants:  []want{{cluster.ProblemSchedule, object, "never starts: its schedule cannot be read", "TZ=0", ""}},
		},
		"a day that never comes": {
			change: []func(*batchv1.CronJob){func(c *batchv1.CronJob) { c.Spec.Schedule = "0 0 31 2 *" }},
			wants:  []want{{cluster.ProblemSchedule, object, "never starts: its schedule names a day that does not exist", "0 0 31 2 *", ""}},
		},
		"in a time zone": {
			change: []func(*batchv1.CronJob){func(c *batchv1.CronJob) { c.Spec.TimeZone = new("UTC") }},
			wants:  []want{{cluster.ProblemSchedule, object, never, "", ""}},
		},
		"it runs":           {change: []func(*batchv1.CronJob){lastRan(0)}},
		"it missed one":     {change: []func(*batchv1.CronJob){lastRan(time.Minute)}},
		"it is not due":     {change: []func(*batchv1.CronJob){func(c *batchv1.CronJob) { c.Spec.Schedule = "0 0 1 1 *" }}},
		"somebody stops it": {change: []func(*batchv1.CronJob){lastRan(time.Hour), func(c *batchv1.CronJob) { c.Spec.Suspend = new(true) }}},
		"is being deleted":  {change: []func(*batchv1.CronJob){func(c *batchv1.CronJob) { c.DeletionTimestamp = new(ago(0)) }}},
		"the cluster was stopped": {
			change: []func(*batchv1.CronJob){lastRan(time.Hour)}, state: func(s *State) { s.Begun = ago(time.Minute).Time },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			c := &batchv1.CronJob{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "report", UID: "cron", CreationTimestamp: ago(9*time.Minute + time.Second)},
				Spec:       batchv1.CronJobSpec{Schedule: "* * * * *"},
			}
			for _, f := range test.change {
				f(c)
			}
			s.CronJobs, s.Events = []*batchv1.CronJob{c}, test.events
			s.Now = s.Now.Add(31 * time.Second)
			if test.state != nil {
				test.state(&s)
			}
			check(t, s, test.wants...)
		})
	}
}
