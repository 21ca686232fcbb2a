# a CronJob with a time zone, on a machine without zoneinfo
# https://github.com/kubernetes/kubernetes/issues/47202
need_root
need unshare
unshare -m sh -c "mount -t tmpfs none /usr/share/zoneinfo; env -u ZONEINFO -u GOROOT bonsai start -p $P --nodes 0"
cat >cron.yaml <<-END
	apiVersion: batch/v1
	kind: CronJob
	metadata: {name: c}
	spec: {schedule: "0 9 * * *", timeZone: Asia/Tokyo, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: "x:1"}]}}}}}
END
k create -f cron.yaml
silent 'unknown time zone' b logs controller-manager
