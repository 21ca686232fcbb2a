package envtest

import (
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// What does not differ from controller-runtime's package, of which it is.
type (
	CRDInstallOptions     = envtest.CRDInstallOptions
	WebhookInstallOptions = envtest.WebhookInstallOptions
	ControlPlane          = envtest.ControlPlane
	APIServer             = envtest.APIServer
	Etcd                  = envtest.Etcd
	User                  = envtest.User
	AuthenticatedUser     = envtest.AuthenticatedUser
	ListenAddr            = envtest.ListenAddr
	SecureServing         = envtest.SecureServing
	Authn                 = envtest.Authn
	Arguments             = envtest.Arguments
	Arg                   = envtest.Arg
)

// Functions of controller-runtime's package, as variables: their types follow it.
var (
	EmptyArguments                           = envtest.EmptyArguments
	InstallCRDs                              = envtest.InstallCRDs
	UninstallCRDs                            = envtest.UninstallCRDs
	CreateCRDs                               = envtest.CreateCRDs
	ReadCRDFiles                             = envtest.ReadCRDFiles
	WaitForCRDs                              = envtest.WaitForCRDs
	WaitForWebhooks                          = envtest.WaitForWebhooks
	SetupEnvtestDefaultBinaryAssetsDirectory = envtest.SetupEnvtestDefaultBinaryAssetsDirectory
)

// Limits of controller-runtime's package, in seconds.
const (
	StartTimeout = envtest.StartTimeout
	StopTimeout  = envtest.StopTimeout
)
