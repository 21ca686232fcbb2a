// Package texts has the lessons and faults that are in bonsai, as the text files that docs/learn.md describes: NAME.md is a lesson in
// English, NAME.zh.md its translation into Chinese.
package texts

import "embed"

// Files are the folders lessons and faults.
//
//go:embed lessons/*.md faults/*.md
var Files embed.FS
