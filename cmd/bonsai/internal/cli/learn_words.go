package cli

// learnWords are the texts around lessons, in one language. Those with % are formats.
type learnWords struct {
	step, hint, solution, alias, preparing, check, next, over, reset, resetDone, missing string
	mistake, seen, follow, when, points, time, diagnosis, noDiagnosis, allFixed, another string
	exam, examOver, examNext, done, begun, minutes, level, name, title, state, length    string
}

// learnWordsOf are those of a language, in English if it has none.
func learnWordsOf(language string) learnWords {
	if language == "zh" {
		return learnWords{
			step: "第 %d 步，共 %d 步：%s", hint: "提示 %d/%d", solution: "解答", preparing: "正在准备……",
			alias: "先在你操作的终端里输入一次（之后命令里的 k 就是它）：", check: "做完后检查：", next: "下一步：", over: "“%s”全部完成。",
			reset: "清理：", resetDone: "“%s”已清理。", missing: "还有 %d 项未完成，共 %d 项",
			mistake: "常见错误", seen: "现在是 %s", follow: "正在观察集群，按 Ctrl-C 结束。", when: "接下来：", points: "得分 %d/%d（提示 %d 次，检查 %d 次）",
			time: "用时 %s", diagnosis: "故障还在时，bonsai 自己的诊断：", noDiagnosis: "故障还在时没有记录到诊断；bonsai status 会把这类问题报告为 %s。",
			allFixed: "所有故障都已修好。", another: "下一个故障：", exam: "考试：第 %d 题，共 %d 题，剩余 %s", examOver: "考试结束：得分 %d/%d",
			examNext: "修好后，或要放弃这一题：", done: "完成", begun: "第 %d/%d 步", minutes: "%d 分钟", level: "难度", name: "名称", title: "标题", state: "进度", length: "时长",
		}
	}
	return learnWords{
		step: "Step %d of %d: %s", hint: "Hint %d of %d", solution: "Solution", preparing: "preparing…",
		alias: "Type this once in the terminal in which you work; k in commands is then this:", check: "When you have done it:", next: "Go on:",
		over: "%q is complete.", reset: "Clean up:", resetDone: "%q is taken away.", missing: "%d of %d are not done",
		mistake: "A usual mistake", seen: "now %s", follow: "Watching the cluster; Ctrl-C ends it.", when: "Next:",
		points: "%d of %d points (hints: %d, checks: %d)", time: "after %s", diagnosis: "What bonsai itself said while it was broken:",
		noDiagnosis: "Nothing was recorded while it was broken; bonsai status calls such a problem %s.", allFixed: "All faults are fixed.",
		another: "Another fault:", exam: "Exam: fault %d of %d, %s left", examOver: "The exam is over: %d of %d points", examNext: "When it is fixed, or to give it up:",
		done: "done", begun: "step %d of %d", minutes: "%d min", level: "LEVEL", name: "NAME", title: "TITLE", state: "PROGRESS", length: "TIME",
	}
}
