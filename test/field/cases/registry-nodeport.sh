# a registry in the cluster at localhost:NODEPORT
# https://github.com/k0sproject/k0s/issues/5760, https://github.com/kubernetes/kubernetes/issues/132955
cluster 2
pod web httpd -f -p 5055
ready web
k create service nodeport web --tcp=5055:5055 --node-port=30500
for n in 1 2; do within 15 says '[0-9]{3} [A-Z]' b ssh "$n" -- bonsai-agent probe http://localhost:30500/v2/; done
