package condition

import "fmt"

// isReady is whether an object does what its kind is for: pods are Ready, workloads have all their replicas in their newest
// version, Jobs are complete, claims bound, Services have a ready pod behind them.
type isReady struct{}

func (isReady) needs(p place, lesson string) []Need {
	if p.kind.Name == "Service" {
		return endpoints{}.needs(p, lesson)
	}
	return itself{}.needs(p, lesson)
}

func (isReady) of(s subject) Result {
	o := s.object
	if get(o, "metadata", "deletionTimestamp") != nil {
		return Result{Seen: "being deleted"}
	}
	status := func(name string) float64 { return number(o, "status", name) }
	of := func(is, want float64) string { return fmt.Sprintf("%v/%v", is, want) }
	current := status("observedGeneration") >= number(o, "metadata", "generation")
	replicas := 1.0
	if get(o, "spec", "replicas") != nil {
		replicas = number(o, "spec", "replicas")
	}
	switch s.kind.Name {
	case "Pod", "Node":
		return isTrue{condition: "Ready"}.of(s)
	case "Deployment":
		ok := status("updatedReplicas") == replicas && status("availableReplicas") == replicas && status("replicas") == replicas
		return Result{OK: current && ok, Seen: of(status("availableReplicas"), replicas)}
	case "StatefulSet":
		ok := status("readyReplicas") == replicas && text(get(o, "status", "currentRevision")) == text(get(o, "status", "updateRevision"))
		return Result{OK: current && ok, Seen: of(status("readyReplicas"), replicas)}
	case "ReplicaSet":
		return Result{OK: current && status("readyReplicas") == replicas, Seen: of(status("readyReplicas"), replicas)}
	case "DaemonSet":
		want := status("desiredNumberScheduled")
		ok := want > 0 && status("numberReady") == want && status("updatedNumberScheduled") == want
		return Result{OK: current && ok, Seen: of(status("numberReady"), want)}
	case "Job":
		return isTrue{condition: "Complete"}.of(s)
	case "PersistentVolumeClaim":
		phase := text(get(o, "status", "phase"))
		return Result{OK: phase == "Bound", Seen: phase}
	case "Service":
		n := ready(s)
		return Result{OK: n > 0, Seen: fmt.Sprint(n)}
	}
	return Result{OK: true}
}
