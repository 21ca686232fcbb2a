package cluster

// The images that every node has from the payload, as pods name them: "bonsai/hello" is short for the first. ToolsArchive and
// HelloArchive are their files in the payload's folder "images".
const (
	HelloImage   = "docker.io/bonsai/hello:latest"
	ToolsImage   = "docker.io/bonsai/tools:latest"
	HelloArchive = "hello.tar"
	ToolsArchive = "tools.tar"
)

// BuiltinImages are these images and their files.
func BuiltinImages() map[string]string {
	return map[string]string{HelloImage: HelloArchive, ToolsImage: ToolsArchive}
}
