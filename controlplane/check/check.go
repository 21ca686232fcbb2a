// Package check says what is wrong with the settings that a user has chosen for the control plane's components, before
// anything is changed: it asks the components' own feature gates, flags and loaders of files.
//
// It changes nothing in its process that a control plane could notice, except what upstream registers when its options are
// made. Begin reading at Settings.
package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	auditapi "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app/options"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/nearmiss"
	"bonsai/controlplane/config"
)

// Settings returns what is wrong, by the path of the setting in a cluster file ("featureGates.X",
// "apiServer.extraArgs.v"). minor is the version of the cluster ("1.35"), which may be emulated. The kubelet's settings are
// not its business.
func Settings(s cluster.Settings, minor string) map[string]error {
	wrong := map[string]error{}
	gates(s.FeatureGates, minor, wrong)
	for component, args := range s.Args {
		flags, err := flagsOf(component)
		if err != nil {
			wrong[component] = err
			continue
		}
		for name, value := range args {
			if err := argument(flags, component, name, value); err != nil {
				wrong[component+".extraArgs."+name] = err
			}
		}
	}
	for name, load := range map[string]func([]byte) error{
		cluster.FileAudit: auditPolicy, cluster.FileAdmission: admissionConfig, cluster.FileAuthentication: authenticationConfig, cluster.FileEncryption: encryptionConfig,
	} {
		if text := s.Files[name]; text != "" {
			if err := load([]byte(text)); err != nil {
				wrong[name] = err
			}
		}
	}
	return wrong
}

// gates asks a copy of the process's gates, one by one and then all of them, because some depend on others.
func gates(wanted map[string]bool, minor string, wrong map[string]error) {
	fresh := func() featuregate.MutableVersionedFeatureGate {
		g := utilfeature.DefaultMutableFeatureGate.DeepCopy()
		if v, err := version.ParseMajorMinor(minor); err == nil {
			_ = g.SetEmulationVersion(v)
		}
		return g
	}
	known := utilfeature.DefaultMutableFeatureGate.GetAllVersioned()
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		specs, exists := known[featuregate.Feature(name)]
		if !exists {
			wrong["featureGates."+name] = unknown("feature gate", name, slices.Collect(maps.Keys(known)))
			continue
		}
		err := fresh().SetFromMap(map[string]bool{name: wanted[name]})
		switch text := fmt.Sprint(err); {
		case err == nil, strings.Contains(text, "depends on features that are disabled"):
		case strings.Contains(text, "feature is locked to"):
			wrong["featureGates."+name] = fmt.Errorf("in Kubernetes %s it is always %t", minor, !wanted[name])
		case strings.Contains(text, "PreAlpha"):
			wrong["featureGates."+name] = fmt.Errorf("Kubernetes %s does not have it yet; it came with %s", minor, specs[0].Version)
		default:
			wrong["featureGates."+name] = err
		}
	}
	if len(wrong) == 0 && len(wanted) > 0 {
		if err := fresh().SetFromMap(wanted); err != nil {
			wrong["featureGates"] = err
		}
	}
}

// Gates are all feature gates, with the version that each came with.
func Gates() map[string]string {
	since := map[string]string{}
	for name, specs := range utilfeature.DefaultMutableFeatureGate.GetAllVersioned() {
		since[string(name)] = specs[0].Version.String()
	}
	return since
}

func unknown[S ~string](kind, name string, known []S) error {
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = string(k)
	}
	if near := nearmiss.Nearest(name, names); near != "" {
		return fmt.Errorf("unknown %s %q; did you mean %q?", kind, name, near)
	}
	return fmt.Errorf("unknown %s %q", kind, name)
}

// flagsOf are the real flags of a component.
func flagsOf(component string) (*pflag.FlagSet, error) {
	all := pflag.NewFlagSet(component, pflag.ContinueOnError)
	add := func(sets map[string]*pflag.FlagSet) *pflag.FlagSet {
		for _, set := range sets {
			all.AddFlagSet(set)
		}
		return all
	}
	switch component {
	case cluster.ComponentAPIServer:
		named := apiserver.NewServerRunOptions().Flags()
		return add(named.FlagSets), nil
	case cluster.ComponentControllerManager:
		o, err := controllers.NewKubeControllerManagerOptions()
		if err != nil {
			return nil, fmt.Errorf("create kube-controller-manager options: %w", err)
		}
		named := o.Flags(app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases())
		return add(named.FlagSets), nil
	case cluster.ComponentScheduler:
		return add(scheduler.NewOptions().Flags.FlagSets), nil
	}
	return nil, fmt.Errorf("%s has no flags", component)
}

func argument(flags *pflag.FlagSet, component, name, value string) error {
	if reason := config.Refusal(component, name); reason != "" {
		return fmt.Errorf("it cannot be set here: %s", reason)
	}
	if flags.Lookup(name) == nil {
		var known []string
		flags.VisitAll(func(f *pflag.Flag) {
			if config.Refusal(component, f.Name) == "" {
				known = append(known, f.Name)
			}
		})
		return unknown("flag", name, known)
	}
	return flags.Set(name, value)
}

func auditPolicy(text []byte) error {
	codecs := serializer.NewCodecFactory(audit.Scheme, serializer.EnableStrict) // upstream's loader only warns of unknown fields
	if _, _, err := codecs.UniversalDecoder().Decode(text, nil, &auditapi.Policy{}); err != nil {
		return err
	}
	_, err := policy.LoadPolicyFromBytes(text)
	return err
}

// scheme has the kinds of configuration files.
func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	install.Install(s)
	return s
}

// strictly decodes a file of the wanted kind, without fields that do not exist.
func strictly(text []byte, into runtime.Object) error {
	codecs := serializer.NewCodecFactory(scheme(), serializer.EnableStrict)
	_, _, err := codecs.UniversalDecoder().Decode(text, nil, into)
	return err
}

func authenticationConfig(text []byte) error {
	c := &apiserverapi.AuthenticationConfiguration{}
	if err := strictly(text, c); err != nil {
		return err
	}
	return validation.ValidateAuthenticationConfiguration(authenticationcel.NewDefaultCompiler(), c, nil).ToAggregate()
}

func admissionConfig(text []byte) error {
	c := &apiserverapi.AdmissionConfiguration{}
	if err := strictly(text, c); err != nil {
		return err
	}
	var errs []error
	plugins := genericoptions.NewAdmissionOptions().Plugins // those of every API server
	all := apiserver.NewServerRunOptions().Admission.GenericAdmission.Plugins
	known := slices.Concat(plugins.Registered(), all.Registered())
	for _, p := range c.Plugins {
		if !slices.Contains(known, p.Name) {
			errs = append(errs, unknown("admission plugin", p.Name, known))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return inFile(text, func(name string) error {
		_, err := admission.ReadAdmissionConfiguration(known, name, scheme())
		return err
	})
}

func encryptionConfig(text []byte) error {
	return inFile(text, func(name string) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel() // and with it the probes of KMS plugins
		_, err := encryptionconfig.LoadEncryptionConfig(ctx, name, false, "")
		return err
	})
}

// inFile is for loaders that read only files. The file is private, because keys may be in it.
func inFile(text []byte, load func(name string) error) error {
	dir, err := os.MkdirTemp("", "bonsai-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "file.yaml")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		return err
	}
	if err := load(name); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), name, "the file"))
	}
	return nil
}
