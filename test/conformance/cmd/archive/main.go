// Command archive makes an image of a file system: it reads a tar from standard input and writes an archive like that of
// "docker save". No engine is involved.
//
//	tar -c . | archive FILE REFERENCE INSTRUCTION...
//
// Instructions are those of a Dockerfile that set what a container runs: CMD, ENTRYPOINT, ENV, EXPOSE, USER; the first
// two in their JSON form.
package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	if err := run(os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "archive:", err)
		os.Exit(1)
	}
}

func run(args []string, files io.Reader) (err error) {
	if len(args) < 2 {
		return errors.New("usage: archive FILE REFERENCE [INSTRUCTION]")
	}
	tag, err := name.NewTag(args[1])
	if err != nil {
		return err
	}
	settings, err := config(args[2:])
	if err != nil {
		return err
	}
	// The layer is read twice: for its digest and to be written.
	spool, err := os.CreateTemp("", "archive-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, spool.Close(), os.Remove(spool.Name())) }()
	if _, err := io.Copy(spool, files); err != nil {
		return err
	}
	layer, err := tarball.LayerFromFile(spool.Name(), tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, settings
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return err
	}
	return tarball.WriteToFile(args[0], tag, image)
}

// config is what the instructions say.
func config(instructions []string) (v1.Config, error) {
	c := v1.Config{ExposedPorts: map[string]struct{}{}}
	for _, line := range instructions {
		word, value, _ := strings.Cut(line, " ")
		var err error
		switch word {
		case "CMD":
			err = json.Unmarshal([]byte(value), &c.Cmd)
		case "ENTRYPOINT":
			err = json.Unmarshal([]byte(value), &c.Entrypoint)
		case "ENV":
			c.Env = append(c.Env, value)
		case "EXPOSE":
			c.ExposedPorts[value+"/tcp"] = struct{}{}
		case "USER":
			c.User = value
		default:
			err = errors.New("not one of CMD, ENTRYPOINT, ENV, EXPOSE, USER")
		}
		if err != nil {
			return c, fmt.Errorf("%q: %w", line, err)
		}
	}
	return c, nil
}
