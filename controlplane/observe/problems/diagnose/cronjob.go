package diagnose

import (
	"fmt"
	"slices"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

const (
	// startGrace is more than the controller needs to start a job that is due.
	startGrace = 30 * time.Second
	// maxMissed is how many missed starts are counted.
	maxMissed = 100
)

// cronJobs looks for CronJobs that do not start when they are due.
func (d *diagnosis) cronJobs() {
	for _, c := range d.CronJobs {
		if c.DeletionTimestamp == nil {
			d.cronJob(c)
		}
	}
}

func (d *diagnosis) cronJob(c *batchv1.CronJob) {
	f := finding{of: owner{"cronjob", c.Namespace, c.Name}, Problem: cluster.Problem{
		Kind: cluster.ProblemSchedule, Severity: cluster.SeverityError, Since: c.CreationTimestamp.Time, Summary: "never starts",
		Advice: advise("change it by hand", cluster.Kubectl("edit", "cronjob").On(c.Name).In(c.Namespace).Change()),
	}}
	// What is wrong with the first two, the API server refuses today; one that was stored before may still be there.
	if z := c.Spec.TimeZone; z != nil {
		if _, err := time.LoadLocation(*z); err != nil {
			f.Summary += ": time zone " + *z + " is not known"
			f.Cause = "names of time zones look like Europe/Berlin or Etc/UTC"
			d.add(f)
			return
		}
	}
	schedule, err := parseSchedule(c)
	if err != nil {
		f.Summary += ": its schedule cannot be read"
		f.Cause = "schedule " + c.Spec.Schedule + ": " + oneLine(err.Error())
		d.add(f)
		return
	}
	from := c.CreationTimestamp.Time
	if t := c.Status.LastScheduleTime; t != nil {
		from = t.Time
		f.Summary = "does not start any more"
	}
	// While the control plane was stopped, nothing was started.
	if from.Before(d.Begun) {
		from = d.Begun
	}
	first := schedule.Next(from)
	second := schedule.Next(first)
	if first.IsZero() || second.IsZero() {
		f.Summary += ": its schedule names a day that does not exist"
		f.Cause = "no day ever matches schedule " + c.Spec.Schedule
		d.add(f)
		return
	}
	// One start can be missed, such as the one between two schedules, one of which replaced the other.
	if !d.over(second, startGrace) {
		return
	}
	f.Since, f.Severity = first, cluster.SeverityWarning
	missed := 2
	for t := schedule.Next(second); !t.After(d.Now) && missed < maxMissed && !t.IsZero(); t = schedule.Next(t) {
		missed++
	}
	f.Summary += ": it has missed " + fmt.Sprint(missed) + " starts"
	if missed == maxMissed {
		f.Summary += " or more"
	}
	if d.whyMissed(c, &f) {
		d.add(f)
	}
}

// whyMissed finds out why a CronJob that is due does not start; false if that is meant.
func (d *diagnosis) whyMissed(c *batchv1.CronJob, f *finding) bool {
	// Reasons of pkg/controller/cronjob.
	event := d.eventOf(c.UID, func(e *corev1.Event) bool {
		return slices.Contains([]string{"FailedCreate", "MissSchedule", "InvalidSchedule", "UnparseableSchedule", "UnknownTimeZone"}, e.Reason) && lastSeen(e).After(f.Since)
	})
	switch {
	case c.Spec.Suspend != nil && *c.Spec.Suspend:
		if c.Status.LastScheduleTime != nil {
			return false // somebody has stopped what worked
		}
		f.Severity, f.Cause = cluster.SeverityInfo, "it is suspended"
		f.Summary = "has never started"
		f.Advice = advise("let it start when it is due", cluster.Kubectl("patch", "cronjob").On(c.Name).In(c.Namespace).With("-p", `{"spec":{"suspend":false}}`).Change())
	case c.Spec.ConcurrencyPolicy == batchv1.ForbidConcurrent && len(c.Status.Active) > 0:
		job := c.Status.Active[0].Name
		f.Cause = "its job " + job + " is still running, and its concurrencyPolicy is Forbid"
		f.Advice = append(advise("see what the job does", cluster.Kubectl("logs").On("job/"+job).In(c.Namespace)),
			cluster.Advise("end it, and the next one starts when it is due", cluster.Kubectl("delete", "job").On(job).In(c.Namespace).Change()))
	case event != nil && event.Reason == "MissSchedule" && c.Spec.StartingDeadlineSeconds != nil:
		f.Cause = fmt.Sprintf("its startingDeadlineSeconds is %d: a start that comes later than that is left out", *c.Spec.StartingDeadlineSeconds)
		f.Evidence = []string{oneLine(event.Message)}
	case event != nil:
		f.Cause = oneLine(event.Message)
		f.Advice = advise("", cluster.Kubectl("describe", "cronjob").On(c.Name).In(c.Namespace))
	default:
		f.Cause = "its controller has not started it"
		f.Advice = advise("see the log of its controller", cluster.Bonsai("logs").On("kube-controller-manager"))
	}
	return true
}

// parseSchedule parses a schedule as upstream does (formatSchedule in pkg/controller/cronjob). The parser panics on some
// texts with a time zone.
func parseSchedule(c *batchv1.CronJob) (s cron.Schedule, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	text := c.Spec.Schedule
	if c.Spec.TimeZone != nil {
		text = "TZ=" + *c.Spec.TimeZone + " " + text
	}
	return cron.ParseStandard(text)
}
