package cluster

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Settings are what the user changes in Kubernetes' own components.
type Settings struct {
	// FeatureGates are turned on or off in all components.
	FeatureGates map[string]bool `json:"featureGates,omitempty"`
	// Args are flags of the control plane's components, without dashes: by component, one of the constants Component…, and
	// by name.
	Args map[string]map[string]string `json:"args,omitempty"`
	// Files are the contents of configuration files, by the constants File…. They may contain secrets.
	Files map[string]string `json:"files,omitempty"`
}

// The components in Settings.Args, as cluster files name them.
const (
	ComponentAPIServer         = "apiServer"
	ComponentControllerManager = "controllerManager"
	ComponentScheduler         = "scheduler"
)

// Components are those that have flags.
func Components() []string {
	return []string{ComponentAPIServer, ComponentControllerManager, ComponentScheduler}
}

// The files in Settings.Files, by their path in cluster files.
const (
	// FileAudit is an audit Policy, FileAdmission an AdmissionConfiguration, FileAuthentication an AuthenticationConfiguration
	// and FileEncryption an EncryptionConfiguration, all of the API server.
	FileAudit          = "apiServer.auditPolicy"
	FileAdmission      = "apiServer.admission"
	FileAuthentication = "apiServer.authentication"
	FileEncryption     = "apiServer.encryption"
	// FileKubelet is a part of a KubeletConfiguration, for all nodes.
	FileKubelet = "kubelet"
)

// verbosityArg is the flag of the components whose effect bonsai produces itself, because they share a process and its log.
const verbosityArg = "v"

// Verbosity is how much a component of Settings.Args logs: klog's -v.
func (s Settings) Verbosity(component string) int {
	v, err := strconv.Atoi(s.Args[component][verbosityArg])
	if err != nil {
		return 0
	}
	return max(0, v)
}

// IsZero reports whether nothing is changed.
func (s Settings) IsZero() bool { return len(s.FeatureGates)+len(s.Args)+len(s.Files) == 0 }

// ParseFeatureGates parses "NAME=true" or "NAME=false" each, several of them separated by commas.
func ParseFeatureGates(list []string) (map[string]bool, error) {
	var errs []error
	gates := map[string]bool{}
	for _, text := range list {
		for part := range strings.SplitSeq(text, ",") {
			name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
			on, err := strconv.ParseBool(strings.TrimSpace(value))
			if !ok || err != nil || name == "" {
				errs = append(errs, fmt.Errorf("feature gate %q is not written as NAME=true or NAME=false", part))
				continue
			}
			gates[name] = on
		}
	}
	return gates, errors.Join(errs...)
}

// ParseArgs parses "COMPONENT.FLAG=VALUE" each, as minikube's --extra-config has it.
func ParseArgs(list []string) (map[string]map[string]string, error) {
	names := map[string]string{
		"apiserver": ComponentAPIServer, "kube-apiserver": ComponentAPIServer, "apiServer": ComponentAPIServer,
		"controller-manager": ComponentControllerManager, "kube-controller-manager": ComponentControllerManager, "controllerManager": ComponentControllerManager,
		"scheduler": ComponentScheduler, "kube-scheduler": ComponentScheduler,
	}
	var errs []error
	args := map[string]map[string]string{}
	for _, text := range list {
		key, value, ok := strings.Cut(text, "=")
		component, flag, dot := strings.Cut(key, ".")
		flag = strings.TrimLeft(flag, "-")
		switch name := names[component]; {
		case !ok || !dot || flag == "":
			errs = append(errs, fmt.Errorf("setting %q is not written as COMPONENT.FLAG=VALUE", text))
		case component == "kubelet":
			errs = append(errs, fmt.Errorf("setting %q: the kubelet has no flags here; a cluster file has its configuration, as kubelet", key))
		case name == "":
			errs = append(errs, fmt.Errorf("setting %q: %q is not one of apiserver, controller-manager, scheduler", key, component))
		default:
			if args[name] == nil {
				args[name] = map[string]string{}
			}
			args[name][flag] = value
		}
	}
	return args, errors.Join(errs...)
}
