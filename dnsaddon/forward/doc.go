// Package forward answers names outside the cluster, by asking upstream resolvers and caching their answers.
//
// A [Forwarder] has zones; a question belongs to the longest one that contains its name. It is answered from the cache,
// by joining an identical question that is already under way, or by asking one upstream of the zone after the other,
// until one answers or the time is up. A bad answer is better than a late one: a zone without a working upstream is
// answered at once, with an expired answer from the cache if there is one, otherwise with SERVFAIL.
//
// # Requirements for a reply
//
// Every UDP question has its own socket, and so its own source port, and an id from the system's random numbers. A
// reply is accepted if it comes from the upstream's address and port, repeats id and question, and can be read to its
// end. Everything else is dropped and the wait continues, so that a wrong guess of an attacker does not end it. Names
// are sent in lower case; the client's spelling is restored in the answer.
//
// # Transport
//
// An upstream is asked over the client's transport, with an EDNS size of 1232 bytes. A truncated reply is not passed on
// but requested again over TCP, from the same upstream: the cache then holds the whole answer, and the client's second
// question over TCP, if it needs one, is answered from there. Only if TCP fails is the truncated reply sent to the
// client, with TC set, and not cached. Likewise, if an upstream does not answer over TCP, it is asked over UDP. An
// upstream that turns out not to support EDNS or TCP is not asked that way for ten minutes.
//
// # Health
//
// After a failure [Forwarder.Run] asks the upstream for the root's name servers until it answers. After two consecutive
// failures the upstream is down: it is asked only if all others are down too, and then with a short limit. Upstreams
// that work are not checked.
//
// # Loops
//
// When the configuration changes, a question with a secret name is sent to each upstream. If that question arrives here
// ([Forwarder.IsProbe]), the upstream leads back to this server and is cut off; it is probed again every half minute. A
// loop that appears later makes the upstream fail, because a question that returns joins itself, and is then found in
// the same way.
// found in the same way.
//
// Begin reading at [Forwarder.Exchange].
package forward
