#!/usr/bin/env bash
# The kubectl session of a user, against whatever KUBECONFIG names: the embedded API or a real API server.
# Needs kubectl (KUBECTL names another one). Works in a namespace and on a definition of its own and removes both.
# Where the two servers differ on purpose, only what they share is asserted.
set -uo pipefail

: "${KUBECONFIG:?KUBECONFIG names the server to test}"
kubectl=${KUBECTL:-kubectl}
space=e2e-kubectl-$$
work=$(mktemp -d)
failures=0

cleanup() {
    k delete widgets --all --wait=false >"$work/out" 2>&1
    "$kubectl" delete crd widgets.e2e.example.com --ignore-not-found >"$work/out" 2>&1
    "$kubectl" delete namespace "$space" --ignore-not-found --wait=false >"$work/out" 2>&1
    rm -rf "$work"
}
trap cleanup EXIT

k() { timeout 60 "$kubectl" --namespace "$space" "$@"; }

# check WHAT PATTERN COMMAND…: the command succeeds and its output matches.
check() { run 0 "$@"; }
# refuse WHAT PATTERN COMMAND…: the command fails and its output matches.
refuse() { run 1 "$@"; }
run() {
    local fails=$1 what=$2 pattern=$3 output status=0
    shift 3
    output=$("$@" 2>&1) || status=1
    if [ "$status" != "$fails" ] || ! grep -qE -- "$pattern" <<<"$output"; then
        failures=$((failures + 1))
        printf 'FAILED  %s\n  command  %s\n  wanted   %s\n  got      %s\n' "$what" "$*" "$pattern" "$output"
    else
        printf 'ok      %s\n' "$what"
    fi
}

cat >"$work/definition.yaml" <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.e2e.example.com}
spec:
  group: e2e.example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList, shortNames: [wdg], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            description: What the widget should be.
            required: [size]
            x-kubernetes-validations:
            - {rule: 'self.size >= oldSelf.size', message: size can only grow}
            properties:
              size: {type: integer, minimum: 1, maximum: 9, description: How large it is.}
              mode: {type: string, enum: [Fast, Slow], default: Fast}
              note: {type: string}
          status:
            type: object
            properties:
              size: {type: integer}
              conditions:
                type: array
                items:
                  type: object
                  properties: {type: {type: string}, status: {type: string}}
YAML
widget() { printf 'apiVersion: e2e.example.com/v1\nkind: Widget\nmetadata: {name: %s}\nspec: {%s}\n' "$1" "$2"; }
widget demo 'size: 2, note: hello' >"$work/widget.yaml"
widget demo 'size: 3, note: hello' >"$work/larger.yaml"
widget bad 'size: 2, colour: red' >"$work/unknown.yaml"
widget bad 'size: 12, mode: Odd' >"$work/invalid.yaml"
objects() {
    cat <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {$1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: "image:1", ports: [{containerPort: 80}], env: [$2]}
YAML
}
objects 'a: "1", b: "2"' '{name: A, value: "1"}, {name: B, value: "2"}' >"$work/objects.yaml"
objects 'a: "1", c: "3"' '{name: A, value: "1"}' >"$work/changed.yaml"

discovery() {
    check 'the server has a version' 'Server Version: v1\.' k version
    check 'namespaces are created' 'namespace/.* created' "$kubectl" create namespace "$space"
    check 'kinds are listed' 'statefulsets +sts +apps/v1 +true +StatefulSet' k api-resources
    check 'a definition is applied' 'widgets.e2e.example.com created' k apply -f "$work/definition.yaml"
    check 'a definition is established' 'condition met' k wait --for=condition=Established crd/widgets.e2e.example.com
    check 'its kind is listed' 'widgets +wdg +e2e.example.com/v1 +true +Widget' k api-resources
    # A real API server publishes the schema of a new definition some seconds later; the embedded one at once.
    for _ in $(seq 20); do k explain widgets.spec.size >"$work/out" 2>&1 && break || sleep 1; done
    check 'its fields are explained' 'How large it is' k explain widgets.spec.size
    check 'required fields are marked' 'size.*-required-' k explain widgets.spec
    check 'built-in fields are explained' 'replicas <integer>' k explain statefulset.spec.replicas
}

custom_resources() {
    check 'a custom resource is applied' 'widget.e2e.example.com/demo created' k apply -f "$work/widget.yaml"
    check 'applying it again changes nothing' 'demo unchanged' k apply -f "$work/widget.yaml"
    check 'defaults are set' '^Fast$' k get wdg demo -o jsonpath='{.spec.mode}'
    check 'columns are printed' 'demo +2' k get widgets
    check 'headers are printed' 'NAME +SIZE +READY +AGE' k get widgets
    refuse 'unknown fields are refused' 'unknown field "spec.colour"' k apply -f "$work/unknown.yaml"
    refuse 'values out of range are refused' 'spec.size in body should be less than or equal to 9' k apply -f "$work/invalid.yaml"
    refuse 'values out of the list are refused' 'supported values: "Fast", "Slow"' k apply -f "$work/invalid.yaml"
    check 'a change is applied' 'demo configured' k apply -f "$work/larger.yaml"
    refuse 'transition rules hold' 'size can only grow' k patch widget demo --type=merge -p '{"spec":{"size":1}}'
    check 'generations count spec changes' '^2$' k get widget demo -o jsonpath='{.metadata.generation}'
    check 'it is scaled' 'demo scaled' k scale widget demo --replicas=4
    check 'scale sets the size' '^4$' k get widget demo -o jsonpath='{.spec.size}'
    check 'its status is patched' 'patched' k patch widget demo --subresource=status --type=merge \
        -p '{"status":{"size":4,"conditions":[{"type":"Ready","status":"True"}]}}'
    check 'its conditions are awaited' 'condition met' k wait --for=condition=Ready widget/demo --timeout=10s
    check 'fields are awaited' 'condition met' k wait --for=jsonpath='{.status.size}'=4 widget/demo --timeout=10s
    check 'it is described' 'Size: +4' k describe widget demo
    check 'it is edited' 'demo edited' env EDITOR='sed -i s/hello/goodbye/' "$kubectl" -n "$space" edit widget demo
    check 'it is among all' 'widget.e2e.example.com/demo' k get all
}

server_side_apply() {
    refuse 'other managers own their fields' 'conflicts? with "kubectl' k apply --server-side -f "$work/larger.yaml"
    widget demo 'size: 5' >"$work/taken.yaml"
    check 'force takes them over' 'serverside-applied' \
        k apply --server-side --force-conflicts --field-manager=tester -f "$work/taken.yaml"
    check 'owners are recorded' 'tester' k get widget demo --show-managed-fields -o yaml
    widget shared 'size: 5, note: x' >"$work/shared.yaml"
    check 'an object is applied' 'shared serverside-applied' k apply --server-side -f "$work/shared.yaml"
    widget shared 'size: 5' >"$work/shared.yaml"
    check 'it is applied without a field' 'shared serverside-applied' k apply --server-side -f "$work/shared.yaml"
    check 'the field is gone' '^\{"mode":"Fast","size":5\}$' k get widget shared -o jsonpath='{.spec}'
}

built_in_kinds() {
    check 'objects are applied' 'statefulset.apps/web created' k apply -f "$work/objects.yaml"
    check 'applying them again changes nothing' 'statefulset.apps/web unchanged' k apply -f "$work/objects.yaml"
    check 'changes are applied' 'statefulset.apps/web configured' k apply -f "$work/changed.yaml"
    check 'map entries come and go' '^\{"a":"1","c":"3"\}$' k get configmap settings -o jsonpath='{.data}'
    check 'list items with keys go' '^A$' k get sts web -o jsonpath='{.spec.template.spec.containers[0].env[*].name}'
    check 'wide columns are printed' 'main +image:1' k get sts -o wide
    check 'services are printed' 'web +ClusterIP +None +<none> +80/TCP' k get service
    check 'labels select' 'settings' k get configmap -l app=web
    check 'fields select' 'settings' k get configmap --field-selector metadata.name=settings
    refuse 'missing objects are not found' 'configmaps "nothing" not found' k get configmap nothing
    check 'labels are set' 'labeled' k label configmap settings tier=db
    check 'annotations are set' 'annotated' k annotate sts web note=1
    check 'patches are merged' 'patched' k patch configmap settings -p '{"data":{"d":"4"}}'
    check 'JSON patches are applied' 'patched' k patch configmap settings --type=json \
        -p '[{"op":"remove","path":"/data/d"}]'
    check 'a set is described' 'Replicas: +0 desired' k describe sts web
    check 'config maps are created' 'made created' k create configmap made --from-literal=a=b
    check 'secrets are created' 'hidden created' k create secret generic hidden --from-literal=a=b
    check 'secrets are encoded' '^Yg==$' k get secret hidden -o jsonpath='{.data.a}'
    refuse 'names are taken once' 'already exists' k create configmap made
    check 'namespaces are printed' "$space +Active" "$kubectl" get namespace "$space"
    check 'events are listed' 'No resources found|LAST SEEN' k get events
}

watching_and_deleting() {
    k get widgets --watch --no-headers >"$work/watched" 2>&1 &
    local watcher=$!
    for _ in $(seq 100); do grep -q shared "$work/watched" && break; sleep 0.1; done
    check 'an object is deleted' 'widget.e2e.example.com "shared" deleted' k delete widget shared
    check 'deletion is awaited' '' k wait --for=delete widget/shared --timeout=10s
    check 'a change is made' 'patched' k patch widget demo --type=merge -p '{"spec":{"size":9}}'
    for _ in $(seq 50); do grep -qE 'demo +9' "$work/watched" && break; sleep 0.1; done
    kill "$watcher"
    check 'a watch saw the change' 'demo +9' cat "$work/watched"
    check 'objects are deleted by file' 'service "web" deleted' k delete -f "$work/objects.yaml"
    check 'a selection is deleted' 'deleted' k delete configmap made --cascade=foreground
    check 'a definition is deleted' 'deleted' k delete -f "$work/definition.yaml"
    refuse 'its kind is gone' "could not find the requested resource|doesn't have a resource type" k get widgets
    check 'the namespace is deleted' 'deleted' "$kubectl" delete namespace "$space" --timeout=60s
}

discovery
custom_resources
server_side_apply
built_in_kinds
watching_and_deleting
[ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
echo 'all as expected'
