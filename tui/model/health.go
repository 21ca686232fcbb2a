package model

import (
	"strconv"
	"strings"

	"bonsai/bootstrap/kube"
)

// Health is how an object does.
type Health uint8

// The kinds of health. Of a row and of a list, the greater of OK to Fail is worse.
const (
	Unclear Health = iota // nothing says
	OK
	Busy
	Warn
	Fail
	Ending
	Off // done, or not wanted
)

// HealthCount is how many kinds there are.
const HealthCount = Off + 1

// HealthOf is the health that an object's row shows. It knows the words of kubectl's columns, of any type:
// STATUS, READY, and the phases and conditions of most CRDs.
func HealthOf(columns []kube.Column, r *kube.Row) Health {
	if r.Deleting {
		return Ending
	}
	health := Unclear
	for i, c := range columns {
		if i >= len(r.Cells) {
			break
		}
		switch strings.ToLower(c.Name) {
		case "status", "phase", "state":
			if h := HealthOfWord(r.Cells[i]); h > health || h == Fail {
				health = h
			}
		case "ready", "available", "synced", "established":
			h := healthOfCount(r.Cells[i])
			if health == Unclear || health == OK && h == Warn {
				health = h
			}
		}
	}
	if r.Cordoned && health == OK {
		return Warn
	}
	return health
}

// HealthOfWord reads one word of a status column, or a reason.
func HealthOfWord(word string) Health {
	first, _, _ := strings.Cut(word, ",")
	switch first {
	case "":
		return Unclear
	case "Running", "Active", "Bound", "Ready", "Available", "Healthy", "Complete", "True", "Established", "Approved",
		"Deployed":
		return OK
	case "Completed", "Succeeded", "Released", "Suspended", "Terminated":
		return Off
	case "Terminating":
		return Ending
	case "Pending", "NotReady", "Unknown", "Waiting", "SchedulingGated", "Progressing":
		return Warn
	case "ContainerCreating", "PodInitializing", "Creating", "Updating", "Provisioning", "Upgrading":
		return Busy
	}
	if strings.HasPrefix(first, "Init:") && !strings.ContainsAny(first[5:], "BCE") {
		return Busy // Init:0/1
	}
	for _, bad := range []string{
		"Err", "BackOff", "Fail", "OOM", "Evicted", "Invalid", "Lost", "False", "Degraded", "Unschedulable", "DeadlineExceeded",
	} {
		if strings.Contains(first, bad) {
			return Fail
		}
	}
	return Unclear
}

// healthOfCount reads "1/2", "True" or a number of ready things.
func healthOfCount(text string) Health {
	if have, want, ok := strings.Cut(text, "/"); ok {
		h, err1 := strconv.Atoi(have)
		w, err2 := strconv.Atoi(want)
		switch {
		case err1 != nil || err2 != nil:
			return Unclear
		case h < w:
			return Warn
		}
		return OK
	}
	switch text {
	case "True", "true":
		return OK
	case "False", "false":
		return Warn
	}
	return Unclear
}
