//go:build race

package rules

// raceEnabled: the race detector makes a sync.Pool lose things on purpose.
const raceEnabled = true
