{{- /* The pod that a request is about: itself, or what a workload makes its pods of. */ -}}
{{- define "svidhelper.pod" -}}
(request.kind.kind == 'Pod' ? dyn(object) : request.kind.kind == 'CronJob' ? dyn(object).spec.jobTemplate.spec.template : dyn(object).spec.template)
{{- end -}}
