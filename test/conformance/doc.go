// Package conformance runs upstream's end-to-end tests against clusters of bonsai: docs/conformance.md. It is a module of
// its own, so that what those tests need does not influence the versions that bonsai links. The package itself has only
// tests of the kit; what runs is run.sh, with the commands below cmd.
package conformance
