package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/wait"
)

const (
	// maxManifest bounds one manifest; the largest of well-known projects have a few MB.
	maxManifest = 16 << 20
	// downloadLimit bounds the download of one; BONSAI_WAIT_SCALE multiplies it.
	downloadLimit = 30 * time.Second
)

// ReadManifests reads the manifest at an absolute path or a URL, or those in a folder, sorted by name.
func ReadManifests(ctx context.Context, source string) ([]plan.Manifest, error) {
	if strings.Contains(source, "://") {
		return download(ctx, source)
	}
	info, err := os.Stat(source)
	if err != nil {
		return nil, err
	}
	files := []string{source}
	if info.IsDir() {
		entries, err := os.ReadDir(source)
		if err != nil {
			return nil, err
		}
		files = nil
		for _, e := range entries {
			if !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) {
				files = append(files, filepath.Join(source, e.Name()))
			}
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("the folder %s has no files named *.yaml, *.yml or *.json", source)
		}
	}
	var list []plan.Manifest
	var errs []error
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		data, err := readAtMost(f, name)
		errs = append(errs, err, f.Close())
		list = append(list, plan.Manifest{Source: name, Data: data})
	}
	return list, errors.Join(errs...)
}

func readAtMost(r io.Reader, name string) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err == nil && len(data) > maxManifest {
		err = fmt.Errorf("%s is larger than %d MB", name, maxManifest>>20)
	}
	return string(data), err
}

func download(ctx context.Context, address string) (list []plan.Manifest, err error) {
	if !strings.HasPrefix(address, "https://") {
		return nil, fmt.Errorf("%s is not an https URL", address)
	}
	ctx, cancel := wait.FromEnv().Limit(ctx, downloadLimit, "the download of "+address)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("it is not at hand without a network: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", address, resp.Status)
	}
	data, err := readAtMost(resp.Body, address)
	return []plan.Manifest{{Source: address, Data: data}}, err
}
