// Package forward answers what is not a name of the cluster, by asking upstream resolvers and keeping their answers.
//
// A [Forwarder] has zones; a question belongs to the longest one that its name is in. It goes, in this order, to the
// cache, to an identical question that is on its way already, or to one upstream of the zone after the other, until
// one answers or the time is up. It is better to answer badly than late: a zone without a working upstream gets its
// answer at once, an expired one from the cache if there is any, otherwise SERVFAIL.
//
// # What a reply must be
//
// Every UDP question has a socket, and so a source port, of its own, and an id from the system's random numbers. A
// reply counts if it comes from the upstream's address and port, repeats id and question, and can be read to its end.
// Anything else is dropped and the wait goes on, so that nobody ends it with a bad guess. Names go out in lower case,
// the asker's spelling is put back into the answer.
//
// # Transport
//
// An upstream is asked the way we were asked, with an EDNS size of 1232 bytes. A truncated reply is not passed on but
// asked for again over TCP, from the same upstream: the cache then holds the whole answer, and the asker's second
// question over TCP, if it needs one, is answered from there. Only if TCP fails does the truncated reply go to the
// asker, with TC set, and past the cache. Likewise, if an upstream does not answer over TCP, it is asked over UDP. What
// an upstream turns out not to do, EDNS or TCP, it is spared for ten minutes.
//
// # Health
//
// A failure makes [Forwarder.Run] ask the upstream for the root's name servers until it answers. After the second
// failure in a row the upstream is down: it is asked only if all others are down too, and then for a short time. Nobody
// asks upstreams that work.
//
// # Loops
//
// When the configuration changes, each upstream gets a question with a secret name. If that question arrives here
// again ([Forwarder.IsProbe]), the upstream leads back to this server and is cut off; it is asked again every half
// minute. A loop that comes later makes the upstream fail, since a question that returns joins itself, and is then
// found in the same way.
//
// Begin reading at [Forwarder.Exchange].
package forward
