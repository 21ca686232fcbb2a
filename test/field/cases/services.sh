# a Service that leads to nobody, and an HPA without metrics
# https://github.com/kubernetes/kubernetes/issues/31805, https://github.com/kubernetes/minikube/issues/19070
cluster 1
pod web httpd -f -p 8080
ready web
cat >services.json <<-END
	{"apiVersion":"v1","kind":"List","items":[
	{"apiVersion":"v1","kind":"Service","metadata":{"name":"typo"},"spec":{"selector":{"app":"wbe"},"ports":[{"port":80,"targetPort":8080}]}},
	{"apiVersion":"v1","kind":"Service","metadata":{"name":"port"},"spec":{"selector":{"app":"web"},"ports":[{"port":80,"targetPort":80}]}},
	{"apiVersion":"v1","kind":"Service","metadata":{"name":"named"},"spec":{"selector":{"app":"web"},"ports":[{"port":80,"targetPort":"http"}]}}]}
END
k create -f services.json
k create deployment h --image=$BOX --replicas=1 -- sleep 9999
k autoscale deployment h --min=1 --max=3 --cpu=50%
problem 60 'typo.*app=wbe'
problem 60 'port.*8080'
problem 60 'named.*http'
problem 90 'metrics'
