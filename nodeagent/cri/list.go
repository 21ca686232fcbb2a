// Package cri lists what runs in the node, as crictl does: pods, containers and images, queried from containerd through
// the interface that kubelet uses.
package cri

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Lister uses one connection. Ages are relative to Now.
type Lister struct {
	runtime runtimeapi.RuntimeServiceClient
	images  runtimeapi.ImageServiceClient
	Now     time.Time
}

// New returns a lister for a runtime's connection.
func New(conn grpc.ClientConnInterface) *Lister {
	return &Lister{runtimeapi.NewRuntimeServiceClient(conn), runtimeapi.NewImageServiceClient(conn), time.Now()}
}

// List writes the table of a kind (ps, pods, images) to w. With all, ps lists ended containers as well.
func (l *Lister) List(ctx context.Context, w io.Writer, kind string, all bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	var err error
	switch kind {
	case "ps":
		err = l.containers(ctx, t, all)
	case "pods":
		err = l.pods(ctx, t)
	case "images":
		err = l.imageTable(ctx, t)
	default:
		return fmt.Errorf("unknown listing %q; choose ps, pods or images", kind)
	}
	if err != nil {
		return err
	}
	return t.Flush()
}

func (l *Lister) containers(ctx context.Context, w io.Writer, all bool) error {
	resp, err := l.runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	images, err := l.imageNames(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(resp.Containers, func(a, b *runtimeapi.Container) int { return cmp.Compare(b.CreatedAt, a.CreatedAt) })
	fmt.Fprintln(w, "CONTAINER\tIMAGE\tCREATED\tSTATE\tNAME\tATTEMPT\tPOD ID\tPOD\tNAMESPACE")
	for _, c := range resp.Containers {
		if !all && c.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
			continue
		}
		image := c.GetImage().GetImage()
		if name, ok := images[image]; ok {
			image = name
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", short(c.Id), short(image), l.age(c.CreatedAt),
			word(c.State.String()), c.GetMetadata().GetName(), c.GetMetadata().GetAttempt(), short(c.PodSandboxId),
			c.Labels["io.kubernetes.pod.name"], c.Labels["io.kubernetes.pod.namespace"])
	}
	return nil
}

func (l *Lister) pods(ctx context.Context, w io.Writer) error {
	resp, err := l.runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	slices.SortFunc(resp.Items, func(a, b *runtimeapi.PodSandbox) int { return cmp.Compare(b.CreatedAt, a.CreatedAt) })
	fmt.Fprintln(w, "POD ID\tCREATED\tSTATE\tNAME\tNAMESPACE\tATTEMPT")
	for _, p := range resp.Items {
		m := p.GetMetadata()
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\n", short(p.Id), l.age(p.CreatedAt), word(p.State.String()),
			m.GetName(), m.GetNamespace(), m.GetAttempt())
	}
	return nil
}

func (l *Lister) imageTable(ctx context.Context, w io.Writer) error {
	resp, err := l.images.ListImages(ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	fmt.Fprintln(w, "IMAGE\tTAG\tIMAGE ID\tSIZE")
	var rows []string
	for _, i := range resp.Images {
		names := i.RepoTags
		if len(names) == 0 {
			names = []string{"<none>:<none>"}
		}
		for _, n := range names {
			colon := strings.LastIndexByte(n, ':')
			rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s", n[:colon], n[colon+1:], short(i.Id), size(i.Size)))
		}
	}
	slices.Sort(rows)
	for _, r := range rows {
		fmt.Fprintln(w, r)
	}
	return nil
}

// imageNames maps image ids to a name that people know.
func (l *Lister) imageNames(ctx context.Context) (map[string]string, error) {
	resp, err := l.images.ListImages(ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	names := map[string]string{}
	for _, i := range resp.Images {
		if len(i.RepoTags) > 0 {
			names[i.Id] = i.RepoTags[0]
		}
	}
	return names, nil
}

// short cuts ids, with or without their algorithm, to the 13 digits that crictl shows; names are kept.
func short(id string) string {
	if rest, ok := strings.CutPrefix(id, "sha256:"); ok {
		id = rest
	}
	if len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" {
		return id[:13]
	}
	return id
}

// word turns CONTAINER_RUNNING into Running and SANDBOX_NOTREADY into Notready.
func word(state string) string {
	_, s, _ := strings.Cut(state, "_")
	if s == "" {
		return state
	}
	return s[:1] + strings.ToLower(s[1:])
}

func (l *Lister) age(nanos int64) string {
	d := l.Now.Sub(time.Unix(0, nanos))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d seconds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

func size(n uint64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2fGB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1fMB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1fkB", float64(n)/1e3)
}
