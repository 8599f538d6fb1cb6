# The three grounds that scenarios run on. Each gives a KUBECONFIG, images, and the operator, installed by Helm for all
# namespaces in $OPERATOR_SPACE. Grounds differ only in what `can` says.

OPERATOR_SPACE=ottla-system
export E2E_BROKER_IMAGE=ghcr.io/ottla-io/ottla-broker:e2e E2E_OTTLA_IMAGE=ghcr.io/ottla-io/ottla:e2e

ground_up() {
  case $E2E_ON in
    embedded) embedded_up ;;
    kit) kit_up ;;
    *) export KUBECONFIG=$E2E_ON GROUND_CAN=admission ;;
  esac || return 1
  install_operator || { "$KUBECTL" --namespace "$OPERATOR_SPACE" get all; operator_logs | tail -20; return 1; }
}
ground_down() {
  case $E2E_ON in
    embedded) embedded_down ;;
    kit) kit_down ;;
    *) "$HELM" uninstall ottla --namespace "$OPERATOR_SPACE" --wait ;;
  esac >"$E2E_OUT/down.log" 2>&1
}

# can CAPABILITY: whether this ground has `nodes` (that can be crashed, cut off and looked into, and Services that are reached from
# here), `kcat` (an image of it), `balancers` (a cloud's part, which gives Services an address), `admission` (what checks pods and
# templates before they are made) or `memory` (of the operator)
can() { case " ${GROUND_CAN:-} " in *" $1 "*) ;; *) return 1 ;; esac; }

# --- the operator
# helm_values: what the chart is told everywhere
helm_values() {
  cat <<YAML
image: {tag: e2e}
brokerImage: {tag: e2e}
testImage: {tag: e2e}
watch: {allNamespaces: true}
logLevel: info
YAML
}
install_operator() {
  helm_values >"$work/values.yaml"
  "$KUBECTL" apply -f - >"$E2E_OUT/install.log" 2>&1 <<YAML || { cat "$E2E_OUT/install.log"; return 1; }
apiVersion: v1
kind: Namespace
metadata: {name: $OPERATOR_SPACE, labels: {pod-security.kubernetes.io/enforce: restricted}}
YAML
  "$HELM" install ottla "$E2E_ROOT/charts/ottla" --namespace "$OPERATOR_SPACE" --values "$work/values.yaml" \
    --wait --timeout 120s >>"$E2E_OUT/install.log" 2>&1 || { tail -20 "$E2E_OUT/install.log"; return 1; }
}
o() { "$KUBECTL" --namespace "$OPERATOR_SPACE" "$@"; }
operator_logs() { o logs --selector app.kubernetes.io/name=ottla-operator --tail=-1 --prefix=false; }
# operator_kill: ends it at once, without a word; another pod takes its place when the Lease is over
operator_kill() { o delete pod --selector app.kubernetes.io/name=ottla-operator --grace-period=0 --force --wait=false; }
# operator_stop, operator_start: none at all for a while
operator_stop() {
  o scale deployment ottla --replicas=0
  o wait --for=delete pod --selector app.kubernetes.io/name=ottla-operator --timeout=60s
}
operator_start() {
  o scale deployment ottla --replicas=1
  o rollout status deployment ottla --timeout=60s
}

# --- the embedded API: one process, in which pods are processes of the same program
embedded_up() {
  GROUND_CAN="balancers memory"
  "$OTTLA" local --bare --data "$work/local" >"$E2E_OUT/local.log" 2>&1 &
  local_pid=$!
  export KUBECONFIG=$work/local/kubeconfig
  await 20 "the embedded API" "$KUBECTL" version
}
embedded_down() {
  [ -z "${local_pid:-}" ] || { kill "$local_pid" && wait "$local_pid"; }
  cp "$work/local/ottla-local.log" "$E2E_OUT/"
}

# operator_memory: the most that its process has had in MiB, where the ground can tell `memory`
operator_memory() { "${E2E_ON}_operator_status" | awk '/^VmHWM/ { printf "%.0f\n", $2 / 1024 }'; }
embedded_operator_status() {
  local pid
  for pid in $(pgrep --parent "$local_pid"); do
    ! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q ' operator ' || cat "/proc/$pid/status"
  done
}

# --- a real Kubernetes on this machine
kit_up() {
  : "${OTTLA_K8S_KIT:?names the kit of a real Kubernetes}"
  GROUND_CAN="admission kcat memory nodes"
  E2E_KCAT_IMAGE=localhost/ottla/kcat:e2e
  "$OTTLA_K8S_KIT/install" >"$E2E_OUT/kit.log" 2>&1 || { tail "$E2E_OUT/kit.log"; return 1; }
  local images=${E2E_IMAGES:-$work/images}
  [ -n "${E2E_IMAGES:-}" ] || "$E2E_ROOT/tests/e2e/images" "$images" ${E2E_PROGRAMS:+"$E2E_PROGRAMS"} >>"$E2E_OUT/kit.log" 2>&1 || { tail "$E2E_OUT/kit.log"; return 1; }
  kit_is_up=1
  "$OTTLA_K8S_KIT/up" --nodes "${NODES:-1}" >>"$E2E_OUT/kit.log" 2>&1 || { tail "$E2E_OUT/kit.log"; return 1; }
  "$OTTLA_K8S_KIT/load-image" "$images"/*.tar >>"$E2E_OUT/kit.log" 2>&1 || { tail "$E2E_OUT/kit.log"; return 1; }
  eval "$("$OTTLA_K8S_KIT/up-env")"
}
kit_operator_status() {
  local node
  node=$(o get pods --selector app.kubernetes.io/name=ottla-operator -o 'jsonpath={.items[0].spec.nodeName}')
  "$OTTLA_K8S_KIT/node" exec "${node#node-}" sh -c 'cat "/proc/$(pgrep -o ottla-operator)/status"'
}
# process_kill POD: SIGKILL to its container, where the ground can do that to `nodes`
process_kill() {
  local node container
  node=$(field "pod/$1" '{.spec.nodeName}') container=$(field "pod/$1" '{.status.containerStatuses[0].containerID}')
  "$OTTLA_K8S_KIT/node" exec "${node#node-}" ctr --namespace k8s.io tasks kill --signal SIGKILL "${container#*://}"
}
kit_down() {
  [ -z "${kit_is_up:-}" ] || "$OTTLA_K8S_KIT/down"
}
