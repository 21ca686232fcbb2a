# hostPath /etc/localtime and other paths of a machine
# https://github.com/apache/apisix/issues/3412, https://github.com/kubernetes/minikube/issues/1324
cluster 1
try() { # try POD PATH TYPE
	cat <<-END | k create -f -
		{"apiVersion":"v1","kind":"Pod","metadata":{"name":"$1"},"spec":{"containers":[{"name":"c","image":"$BOX","imagePullPolicy":"Never","command":["sh","-c","ls -l $2; date; sleep 9999"],"volumeMounts":[{"name":"v","mountPath":"$2"}]}],"volumes":[{"name":"v","hostPath":{"path":"$2","type":"$3"}}]}}
	END
}
try tz-file /etc/localtime File
try tz-any /etc/localtime ''
try zones /usr/share/zoneinfo Directory
try machine /etc/machine-id File
try os /etc/os-release File
try modules /lib/modules Directory
ready tz-file tz-any zones machine os modules
