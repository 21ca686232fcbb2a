package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/registrystore"
)

func (a *app) registryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "registry",
		Short: "The cluster's registry, mirrors of other registries, and the cache of their images",
		Long: `Registry is about where images come from. The addon registry is a registry on this machine: docker push
localhost:5000/my-app, and pods pull by the same name. The addon registry-cache keeps what nodes pull from others, for
all clusters. Mirrors are asked before the registry that they mirror.`,
		Example: `  bonsai addons enable registry
  docker push localhost:5000/my-app:dev
  bonsai registry ls
  bonsai registry mirror add docker.io https://mirror.example
  bonsai registry mirror test docker.io`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	list := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the images in the cluster's registry",
		Long:    `Ls lists what was pushed to the cluster's registry. It works with the cluster stopped, too.`,
		Example: `  bonsai registry ls`,
		Args:    argCount(0, 0, "no arguments"),
		RunE:    func(*cobra.Command, []string) error { return a.runRegistryList() },
	}
	a.addOutput(list, "format of the list")
	remove := &cobra.Command{
		Use:     "rm IMAGE...",
		Aliases: []string{"remove", "delete"},
		Short:   "Remove images from the cluster's registry",
		Long: `Rm removes images from the cluster's registry, and what no other image of it has. IMAGE is a name with a tag or a digest, with
localhost:PORT before it or without; without both it is all tags of that name. Nodes that have pulled an image keep it.`,
		Example: `  bonsai registry rm my-app:dev
  bonsai registry rm localhost:5000/team/other`,
		Args: argCount(1, 100, "names of images"),
		RunE: func(_ *cobra.Command, args []string) error { return a.runRegistryRemove(args) },
	}
	collect := &cobra.Command{
		Use:   "gc",
		Short: "Remove from the cluster's registry what no tag leads to",
		Long: `Gc removes what tags led to before they were pushed again, and what interrupted pushes have left. A push that is under way
is not disturbed.`,
		Example: `  bonsai registry gc`,
		Args:    argCount(0, 0, "no arguments"),
		RunE:    func(*cobra.Command, []string) error { return a.runRegistryCollect() },
	}
	a.addOutput(collect, "format of the answer")
	cmd.AddCommand(list, remove, collect, a.mirrorCommand(), a.registryCacheCommand())
	return cmd
}

// ownRegistry is the store of the cluster's registry, and the name that its images have, empty if it has never listened.
func (a *app) ownRegistry() (store *registrystore.Store, name string, spec *cluster.Spec, err error) {
	s, err := a.open()
	if err != nil {
		return nil, "", nil, err
	}
	if spec, err = a.spec(s); err != nil {
		return nil, "", nil, err
	}
	state := s.State.Cluster(a.profile)
	port, _ := state.RegistryPorts()
	if chosen := spec.RegistryPort(); chosen != 0 {
		port = chosen
	}
	if port != 0 {
		name = cluster.RegistryName(port)
	}
	return registrystore.Open(state.Registry()), name, spec, nil
}

// brokenStore is why images on this machine cannot be read or removed.
func brokenStore(op string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.State, op, err)
}

// registryImage is an image as registry ls -o json has it.
type registryImage struct {
	Name string `json:"name"`
	registrystore.Image
}

// images adds the name by which pods and docker know each.
func imagesOf(store *registrystore.Store, name func(registrystore.Image) string) ([]registryImage, error) {
	all, err := store.Images()
	list := []registryImage{}
	for _, i := range all {
		list = append(list, registryImage{name(i), i})
	}
	return list, brokenStore("list the images of the registry", err)
}

func ownName(registry string) func(registrystore.Image) string {
	return func(i registrystore.Image) string {
		if registry == "" {
			return i.Repository + ":" + i.Tag
		}
		return registry + "/" + i.Repository + ":" + i.Tag
	}
}

func (a *app) runRegistryList() error {
	store, name, spec, err := a.ownRegistry()
	if err != nil {
		return err
	}
	list, err := imagesOf(store, ownName(name))
	if err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a.Stdout, list)
	}
	enabled := spec.Wants(cluster.RegistryAddon, false)
	if len(list) > 0 {
		if err := a.printImages(list); err != nil {
			return err
		}
	} else if enabled {
		if name == "" {
			name = cluster.RegistryName(cluster.RegistryDefaultPort)
		}
		a.note("the registry is empty; push to it:  docker tag IMAGE %[1]s/IMAGE && docker push %[1]s/IMAGE", name)
	}
	if !enabled {
		a.note("the registry is disabled; enable it:  %s", cluster.Bonsai("addons", "enable").On(cluster.RegistryAddon).Of(a.profile))
	}
	return nil
}

func (a *app) printImages(list []registryImage) error {
	rows := [][]string{{"IMAGE", "DIGEST", "SIZE", "AGE"}}
	for _, i := range list {
		short := strings.TrimPrefix(i.Digest, "sha256:")
		rows = append(rows, []string{i.Name, short[:min(12, len(short))], diskSize(i.Size), age(time.Since(i.Time))})
	}
	return table(a.Stdout, rows)
}

// splitImage reads the name of an image in the cluster's registry.
func splitImage(text, registry string) (repository, tag, digest string, err error) {
	rest := text
	if host, after, ok := strings.Cut(text, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		if host != registry {
			return "", "", "", fmt.Errorf("%s is not in the registry of this cluster, which is %s", text, registry)
		}
		rest = after
	}
	if name, after, ok := strings.Cut(rest, "@"); ok {
		rest, digest = name, after
		if !registrystore.ValidDigest(digest) {
			return "", "", "", fmt.Errorf("%q is not a digest of SHA-256", digest)
		}
	}
	if name, after, ok := strings.Cut(rest, ":"); ok {
		rest, tag = name, after
		if !registrystore.ValidTag(tag) {
			return "", "", "", fmt.Errorf("%q is not a tag", tag)
		}
	}
	if !registrystore.ValidRepository(rest) {
		return "", "", "", fmt.Errorf("%q is not the name of an image", text)
	}
	return rest, tag, digest, nil
}

func (a *app) runRegistryRemove(args []string) error {
	store, registry, _, err := a.ownRegistry()
	if err != nil {
		return err
	}
	all, err := imagesOf(store, ownName(registry))
	if err != nil {
		return err
	}
	var removing []registryImage
	var errs []error
	for _, arg := range args {
		repository, tag, digest, err := splitImage(arg, registry)
		if err != nil {
			errs = append(errs, fault.New(fault.Usage, "", err).Advise("see the images", cluster.Bonsai("registry", "ls")))
			continue
		}
		found := false
		for _, i := range all {
			if i.Repository == repository && (tag == "" || i.Tag == tag) && (digest == "" || i.Digest == digest) {
				found = true
				removing = append(removing, i)
			}
		}
		if !found {
			errs = append(errs, fault.Newf(fault.Image, "the registry has no image %s", arg).Advise("see the images", cluster.Bonsai("registry", "ls")))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, i := range removing {
		if err := store.DeleteTag(i.Repository, i.Tag); err != nil && !errors.Is(err, registrystore.ErrNotFound) {
			return brokenStore("remove "+i.Name, err)
		}
		fmt.Fprintln(a.Stdout, i.Name)
	}
	done, err := store.Collect()
	if err != nil {
		return brokenStore("remove what no image has any more", err)
	}
	a.note("%s are free again", diskSize(done.Bytes))
	return nil
}

func (a *app) runRegistryCollect() error {
	store, _, _, err := a.ownRegistry()
	if err != nil {
		return err
	}
	done, err := store.Collect()
	if err != nil {
		return brokenStore("remove what no tag leads to", err)
	}
	if a.json() {
		return writeJSON(a.Stdout, done)
	}
	_, err = fmt.Fprintf(a.Stdout, "%d manifests and %d other parts of images removed: %s. The registry has %s.\n", done.Manifests, done.Blobs, diskSize(done.Bytes), diskSize(done.Kept))
	return err
}

func (a *app) registryCacheCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "What the addon registry-cache keeps, for all clusters",
		Long: `Cache lists the images of other registries that nodes of any cluster have pulled while the addon registry-cache was enabled.
They stay when clusters are deleted, up to the size that the addon's settings have.`,
		Example: `  bonsai addons enable registry-cache
  bonsai registry cache
  bonsai registry cache clear`,
		Args: a.groupArgs,
		RunE: func(*cobra.Command, []string) error { return a.runCacheList() },
	}
	a.addOutput(cmd, "format of the list")
	remove := &cobra.Command{
		Use:     "clear",
		Short:   "Remove everything that is kept",
		Long:    `Clear removes all images that are kept. Nodes that have pulled one keep it; the next pull fetches again.`,
		Example: `  bonsai registry cache clear`,
		Args:    argCount(0, 0, "no arguments"),
		RunE:    func(*cobra.Command, []string) error { return a.runCacheClear() },
	}
	cmd.AddCommand(remove)
	return cmd
}

func (a *app) cacheStore() (*registrystore.Store, error) {
	s, err := a.open()
	if err != nil {
		return nil, err
	}
	return registrystore.Open(s.State.RegistryCache()), nil
}

func (a *app) runCacheList() error {
	store, err := a.cacheStore()
	if err != nil {
		return err
	}
	list, err := imagesOf(store, func(i registrystore.Image) string {
		registry, repository, _ := strings.Cut(i.Repository, "/")
		return strings.ReplaceAll(registry, "__", ":") + "/" + repository + ":" + i.Tag
	})
	if err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a.Stdout, list)
	}
	use, err := store.Use()
	if err != nil {
		return brokenStore("measure the cache", err)
	}
	list = slices.DeleteFunc(list, func(i registryImage) bool { return i.Size == 0 }) // its parts were removed, as the cache was full
	if len(list) > 0 {
		if err := a.printImages(list); err != nil {
			return err
		}
	}
	a.note("the cache has %s", diskSize(use))
	return nil
}

func (a *app) runCacheClear() error {
	store, err := a.cacheStore()
	if err != nil {
		return err
	}
	freed, err := store.Clear()
	if err != nil {
		return brokenStore("clear the cache", err)
	}
	_, err = fmt.Fprintf(a.Stdout, "%s removed.\n", diskSize(freed))
	return err
}
