{{- define "altup.name" -}}
{{- default "altup-serve" .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Also the name of the Service, for which Kubernetes 1.30 wants a label that begins with a letter. */ -}}
{{- define "altup.fullname" -}}
{{- $name := include "altup.name" . }}
{{- $own := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- $full := default $own .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $full) }}
{{- fail (printf "fullnameOverride: set a name that begins with a letter and has only letters, digits and -; the release's makes %s" $full) }}
{{- end }}
{{- $full }}
{{- end }}

{{- define "altup.selector" -}}
app.kubernetes.io/name: {{ include "altup.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "altup.labels" -}}
{{ include "altup.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Merges the chart's labels with others; takes (list . others). Its own take precedence: selectors use them. */ -}}
{{- define "altup.labelsWith" -}}
{{- $own := fromYaml (include "altup.labels" (first .)) }}
{{- toYaml (merge $own (default dict (last .))) }}
{{- end }}

{{- define "altup.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "altup.fullname" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- /* A digest names one image exactly, so "-cuda" is not added to it. */ -}}
{{- define "altup.image" -}}
{{- $image := .Values.image }}
{{- if $image.digest }}{{ printf "%s@%s" $image.repository $image.digest }}
{{- else if contains "@" (default "" $image.tag) }}{{ printf "%s:%s" $image.repository $image.tag }}
{{- else }}{{ printf "%s:%s%s" $image.repository (default .Chart.AppVersion $image.tag) (ternary "-cuda" "" .Values.gpu.enabled) }}
{{- end }}
{{- end }}

{{- /* A setting's value as text. Helm reads numbers from files as floats, and would write 1048576 as 1.048576e+06. */ -}}
{{- define "altup.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{- /* The requirements of the restricted pod security standard for a container, and a read-only root. */ -}}
{{- define "altup.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "altup.volumes" -}}
{{- $models := .Values.models }}
{{- if eq $models.source "pvc" }}
- name: models
  persistentVolumeClaim:
    claimName: {{ required "models.pvc.claimName: names the claim that holds the models" $models.pvc.claimName | quote }}
    readOnly: true
{{- else if eq $models.source "image" }}
- name: models
  image:
    reference: {{ required "models.image.reference: names the image that holds the models" $models.image.reference | quote }}
    pullPolicy: {{ $models.image.pullPolicy }}
{{- else if eq $models.source "download" }}
- name: models
  emptyDir: { sizeLimit: {{ $models.download.sizeLimit | quote }} }
- name: download
  configMap: { name: {{ include "altup.fullname" . }}-download }
{{- with $models.download.credentials }}
- name: download-credentials
  projected:
    defaultMode: 0440
    sources:
      {{- range $index, $each := . }}
      - secret:
          name: {{ $each.secretName | quote }}
          items: [{ key: {{ $each.secretKey | quote }}, path: {{ $index | toString | quote }} }]
      {{- end }}
{{- end }}
{{- end }}
{{- if .Values.apiKeys.existingSecret }}
- name: api-keys
  secret:
    secretName: {{ .Values.apiKeys.existingSecret | quote }}
    defaultMode: 0440
    items:
      - { key: {{ .Values.apiKeys.secretKey | quote }}, path: {{ .Values.apiKeys.secretKey | quote }} }
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "altup.volumeMounts" -}}
{{- $models := .Values.models }}
{{- if ne $models.source "baked" }}
- name: models
  mountPath: /models
  {{- /* Downloaded models are exported in place; the other sources contain exported models. */}}
  readOnly: {{ ne $models.source "download" }}
  {{- if and (eq $models.source "pvc") $models.pvc.subPath }}
  subPath: {{ $models.pvc.subPath | quote }}
  {{- end }}
{{- end }}
{{- if .Values.apiKeys.existingSecret }}
- { name: api-keys, mountPath: /etc/altup-serve, readOnly: true }
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The gauges that pods are added for, each with its value per pod. */}}
{{- define "altup.scalingMetrics" -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) }}
{{- fail (printf "autoscaling.minReplicas: is %v; set it to autoscaling.maxReplicas (%v) or less" .Values.autoscaling.minReplicas .Values.autoscaling.maxReplicas) }}
{{- end }}
- { name: altup_requests_waiting, perPod: {{ .Values.autoscaling.waitingPerPod }} }
{{- if .Values.autoscaling.backlogSecondsPerPod }}
- { name: altup_prefill_backlog_seconds, perPod: {{ .Values.autoscaling.backlogSecondsPerPod }} }
{{- end }}
{{- end }}
