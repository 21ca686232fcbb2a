package look

import "golang.org/x/sys/unix"

// synchronized is what the kernel says about its clock; known is false if it does not say anything. With no modes set the call
// only reads, which needs no rights.
func synchronized() (yes, known bool) {
	state, err := unix.Adjtimex(&unix.Timex{})
	return err == nil && state != unix.TIME_ERROR, err == nil
}
