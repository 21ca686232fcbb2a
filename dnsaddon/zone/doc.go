// Package zone holds the DNS records of a cluster and answers from them.
//
// A Store takes Services, EndpointSlices, Namespaces and Pods as they change, keeps what DNS needs of them in a compact
// form, and publishes an immutable View behind an atomic pointer. A change copies only the few table shards that it
// affects. Code that answers questions loads the View once per question and needs no lock.
//
// A View answers in two ways. Packed is for the questions that a cluster asks all day, addresses of services and names
// of the search path that do not exist; it returns bytes that were packed when the record changed and allocates
// nothing. Lookup answers everything, in records. Where Packed answers, both give the same answer. Explain says in
// words why an answer is what it is.
//
// The names, and the answer to each type of question for each of them, are those of the DNS specification for
// Kubernetes (schema 1.1.0), and for everything that it leaves open those of CoreDNS's kubernetes plugin, including its
// oddities: clients have come to rely on it.
//
// Begin reading at View.Lookup; find.go interprets names, service.go defines what is kept of an object.
package zone
