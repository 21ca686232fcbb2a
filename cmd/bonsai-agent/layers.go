package main

import (
	"bufio"
	"errors"
	"io"
	"os"

	"bonsai/nodeagent/dockerlayers"
)

// layers writes layers of an image from the data folder of a Docker engine.
func layers(args []string, stdout io.Writer) error {
	if len(args) < 3 {
		return errUsage
	}
	root, err := os.OpenRoot(args[0])
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(stdout, 1<<20)
	err = dockerlayers.Write(w, root, args[1], args[2], args[3:])
	return errors.Join(err, w.Flush(), root.Close())
}
