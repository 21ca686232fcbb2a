package cluster

// MetricsAddon is the name of the addon that serves the use of CPU and memory in the API, as in minikube.
const MetricsAddon = "metrics-server"
