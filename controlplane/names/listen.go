package names

import "bonsai/bootstrap/loopback"

// preferred are tried in this order. The first needs no port in URLs, and rights that most users do not have.
var preferred = []int{80, 8080}

// choose returns ports to try, in order; 0 is any. kept is the one that the cluster had before, 0 if none; taken are those
// that it needs for something else.
func choose(kept int, taken []int) []int {
	return loopback.Ports(append([]int{kept}, preferred...), taken)
}
