{{/* The name of everything that belongs to the operator itself. */}}
{{- define "ottla.name" -}}
{{- if contains "ottla" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-ottla" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* The labels that pick the operator's pods; brokers let in pods by the first of them. */}}
{{- define "ottla.selector" -}}
app.kubernetes.io/name: ottla-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ottla.labels" -}}
{{ include "ottla.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: ottla
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* An image with its tag: (list image root) */}}
{{- define "ottla.image" -}}
{{- $image := index . 0 }}{{ $root := index . 1 -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{/* The namespaces to look at, as a list under the key `names`; empty for all of them. */}}
{{- define "ottla.watched" -}}
{{- if .Values.watch.allNamespaces }}
{{- if .Values.watch.namespaces }}{{ fail "watch.namespaces must be empty when watch.allNamespaces is true" }}{{ end }}
names: []
{{- else }}
names: {{ .Values.watch.namespaces | default (list .Release.Namespace) | toJson }}
{{- end }}
{{- end }}
