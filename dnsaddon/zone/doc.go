// Package zone holds the DNS records of a cluster and answers from them.
//
// A Store takes in Services, EndpointSlices, Namespaces and Pods as they change, keeps of them what DNS needs in a
// compact form, and publishes an immutable View behind an atomic pointer. A change copies only the few shards of the
// tables that it touches. Whoever answers questions loads the View once per question and needs no lock.
//
// A View answers in two ways. Packed is for the questions that a cluster asks all day, addresses of services and
// names of the search path that do not exist; it hands out bytes that were packed when the record changed and
// allocates nothing. Lookup answers everything, in records. Where Packed answers, both answer the same. Explain says
// in words why an answer is what it is.
//
// The names, and what each type of question gets for each of them, are those of the DNS specification for Kubernetes
// (schema 1.1.0), and in all that it leaves open those of CoreDNS's kubernetes plugin, oddities included: clients
// have come to rely on it.
//
// Begin reading at View.Lookup; find.go says what a name means, service.go what is kept of an object.
package zone
