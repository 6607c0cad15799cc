{{- define "altup.name" -}}altup-serve{{- end }}

{{- define "altup.fullname" -}}
{{- if contains "altup-serve" .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}{{ printf "%s-altup-serve" .Release.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "altup.selector" -}}
app.kubernetes.io/name: {{ include "altup.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "altup.labels" -}}
{{ include "altup.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "altup.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "altup.fullname" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "altup.image" -}}
{{- printf "%s:%s%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) (ternary "-cuda" "" .Values.gpu.enabled) }}
{{- end }}

{{- /* What the restricted pod security standard asks of a container, and a read-only root. */ -}}
{{- define "altup.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- /* The models' volume, where they are not in the image. */ -}}
{{- define "altup.modelsVolume" -}}
{{- $models := .Values.models }}
{{- if eq $models.source "pvc" }}
- name: models
  persistentVolumeClaim:
    claimName: {{ required "models.pvc.claimName: names the claim that holds the models" $models.pvc.claimName }}
    readOnly: true
{{- else if eq $models.source "image" }}
- name: models
  image:
    reference: {{ required "models.image.reference: names the image that holds the models" $models.image.reference | quote }}
    pullPolicy: {{ $models.image.pullPolicy }}
{{- else if eq $models.source "download" }}
- name: models
  emptyDir: { sizeLimit: {{ $models.download.sizeLimit }} }
- name: download
  configMap: { name: {{ include "altup.fullname" . }}-download }
{{- end }}
{{- end }}
