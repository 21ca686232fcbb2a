package cluster

// GatewayAddon serves Ingress and Gateway API. Its name is also that of the process on each node, and of that process's log.
const GatewayAddon = "gateway"

// GatewayClass is the name of its IngressClass and its GatewayClass.
const GatewayClass = "bonsai"
