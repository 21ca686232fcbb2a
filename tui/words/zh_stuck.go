package words

// zhStuck is what is advised about what does not go on.
var zhStuck = map[string]string{
	"delete the claim": "删除该 PersistentVolumeClaim",
	"delete the claim and the pod, and create again what does not come back on its own; the volume is then empty": "删除该 PersistentVolumeClaim 和 Pod，并重新创建不会自动恢复的对象；新卷是空的",
	"delete the pod":                     "删除该 Pod",
	"get its other pods ready; see them": "让其他 Pod 就绪；查看它们",
	"get that controller running, or remove the finalizer; what it would clean up then stays": "让该控制器运行，或移除 finalizer；此时它本应清理的内容会保留",
	"go back to the revision that runs": "回退到正在运行的版本",
	"go back to the revision that runs, and delete the broken pod, which is not replaced otherwise": "回退到正在运行的版本，并删除故障 Pod，否则它不会被替换",
	"let only one of them select it":                        "只让其中一个选中它",
	"let the budget allow one to be unavailable":            "让 PodDisruptionBudget 允许一个 Pod 不可用",
	"or drain the node in spite of it":                      "或不顾它的限制腾空节点",
	"or give the pod up; its processes may still run there": "或放弃该 Pod；其进程可能仍在该节点上运行",
	"or let pods that are not ready be evicted":             "或允许驱逐未就绪的 Pod",
	"run one more":      "多运行一个",
	"see the APIs":      "查看 API",
	"stop what uses it": "停止使用它的负载",
}
