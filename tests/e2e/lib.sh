# What scenarios are written with. A scenario is a bash file in scenarios/: its first comment says what it shows, every
# command of it must succeed, and it runs in a namespace of its own ($SPACE), which is made before and deleted after.
# Nothing here sleeps for a fixed time: `await` looks again until what is meant is so, or its time is over.

SKIPPED=77
SPACE=default

# --- saying
say() { printf '%s %s\n' "$(date +%T.%N | cut -c1-12)" "$*"; }
fail() { say "FAILED: $*"; exit 1; }
# skip WHY: this ground lacks what the scenario needs.
skip() { echo "$*"; exit "$SKIPPED"; }
# milliseconds of a clock that is good for differences
now() { local t=$EPOCHREALTIME; echo $((${t/[.,]/} / 1000)); }
# figure WHAT VALUE UNIT [AT_MOST]: a measured number; above AT_MOST the scenario fails, unless the machine does other work.
figure() {
  printf '        %s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:+at most $4}" | tee -a "$E2E_OUT/$SCENARIO.figures"
  [ -z "${4:-}" ] || awk "BEGIN { exit !($2 <= $4) }" || [ -n "${LOADED:-}" ] || fail "$1: $2 $3 are more than $4"
}
# seconds_since MILLISECONDS: with a decimal
seconds_since() { awk "BEGIN { printf \"%.1f\", ($(now) - $1) / 1000 }"; }

# --- asking
k() { "$KUBECTL" --namespace "$SPACE" "$@"; }
# field OBJECT JSONPATH
field() { k get "$1" -o "jsonpath=$2"; }
# the condition TYPE of OBJECT as STATUS/REASON
condition() { field "$1" "{.status.conditions[?(@.type==\"$2\")].status}/{.status.conditions[?(@.type==\"$2\")].reason}"; }
# message OBJECT TYPE: of that condition
message() { field "$1" "{.status.conditions[?(@.type==\"$2\")].message}"; }
# says OBJECT TYPE PATTERN: the condition is true, and its message is something like this
says() { [[ $(condition "$1" "$2") == True/* ]] && message "$1" "$2" | grep -E -- "$3"; }
# brokers: the pods of the cluster demo, by uid
brokers() { k get pods -l app.kubernetes.io/instance=demo --sort-by=.metadata.name -o 'jsonpath={.items[*].metadata.uid}'; }
# equal WHAT WANTED FOUND
equal() { [ "$2" = "$3" ] || fail "$1: wanted '$2', found '$3'"; }
# matches WHAT PATTERN FOUND
matches() { grep -qE -- "$2" <<<"$3" || fail "$1: wanted something like '$2', found '$3'"; }

# --- waiting
# await SECONDS WHAT COMMAND…: until the command succeeds.
await() {
  local limit=$1 what=$2 until
  shift 2
  until=$(($(now) + limit * 1000))
  until "$@" >"$work/await.out" 2>&1; do
    [ "$(now)" -lt "$until" ] || { cat "$work/await.out"; fail "$what: not within $limit s"; }
    sleep 0.2
  done
}
# is WANTED COMMAND…: the command prints exactly this.
is() { local wanted=$1 found; shift; found=$("$@") && [ "$found" = "$wanted" ] || { echo "'$found' is not '$wanted'"; return 1; }; }
# ready SECONDS OBJECT…: until all of them are Ready as their specs ask.
ready() { local limit=$1; shift; k wait --for=condition=Ready --timeout="${limit}s" "$@"; }
# gone SECONDS OBJECT…
gone() { local limit=$1; shift; k wait --for=delete --timeout="${limit}s" "$@"; }

# --- making
# apply <<YAML: into the scenario's namespace
apply() { k apply -f - "$@"; }
# refused PATTERN <<YAML: applying it must fail with such a message
refused() {
  local output
  ! output=$(k apply -f - 2>&1) || fail "accepted: $output"
  matches 'the refusal' "$1" "$output"
}
# stalls OBJECT REASON PATTERN: until it is told as refused for this reason, with what to change
stalls() {
  await 30 "$1 stalls for $2" says "$1" Stalled "$3"
  equal "why $1 stalls" "True/$2" "$(condition "$1" Stalled)"
}
# a_cluster NAME BROKERS [YAML of further spec fields, indented by two spaces]
a_cluster() {
  apply <<YAML
apiVersion: ottla.io/v1alpha1
kind: KafkaCluster
metadata: {name: $1}
spec:
  brokers: $2
  image: $E2E_BROKER_IMAGE
  storage: {volumes: [{name: data, size: 1Gi}]}
  listeners: [{name: plain, port: 9092, advertise: PodIP}]
${3:-}
YAML
}
# a_topic NAME CLUSTER PARTITIONS REPLICAS [YAML of further spec fields, indented by two spaces]
a_topic() {
  apply <<YAML
apiVersion: ottla.io/v1alpha1
kind: KafkaTopic
metadata: {name: $1}
spec:
  clusterRef: {name: $2}
  partitions: $3
  replicas: $4
${5:-}
YAML
}
# the bootstrap servers of the first listener of a cluster
bootstrap() { field "okc/$1" '{.status.listeners[0].bootstrapServers}'; }

# --- producing and consuming
# produce CLUSTER TOPIC: the lines of standard input by kcat, acked by all in-sync replicas
produce() { timeout 60 "$KCAT" -q -b "$(bootstrap "$1")" -t "$2" -P -X acks=all; }
# consume CLUSTER TOPIC: everything there is, by kcat
consume() { timeout 60 "$KCAT" -q -b "$(bootstrap "$1")" -t "$2" -C -o beginning -e; }
# a_pod IMAGE NAME ARGUMENT…: a restricted pod that runs once; on the node ON_NODE if that is set
a_pod() {
  local image=$1 name=$2 argument arguments= selector=
  [ -z "${ON_NODE:-}" ] || selector="kubernetes.io/hostname: $ON_NODE"
  shift 2
  for argument in "$@"; do arguments+="${arguments:+, }'$argument'"; done
  apply <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $name, labels: {e2e: client}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 120
  automountServiceAccountToken: false
  nodeSelector: {$selector}
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: main
    image: $image
    args: [$arguments]
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
YAML
}
an_ottla_pod() { a_pod "$E2E_OTTLA_IMAGE" "$@"; }
# load_start NAME CLUSTER TOPIC [OPTION…]: a pod that produces to every partition with acks=all until it is stopped
load_start() {
  local name=$1 cluster=$2 topic=$3
  shift 3
  an_ottla_pod "$name" check --bootstrap "$(bootstrap "$cluster")" --topic "$topic" --until-stopped "$@"
  k wait --for=jsonpath='{.status.phase}'=Running --timeout=60s "pod/$name"
  k logs -f "$name" >"$E2E_OUT/$SCENARIO.$name.load" 2>&1 &
  await 60 "the load $name is under way" grep -q '^producing' "$E2E_OUT/$SCENARIO.$name.load"
}
# load_stop NAME: stops it, which reads everything again and compares; fails if a record that was acked is lost
load_stop() {
  k delete pod "$1" --timeout=150s
  await 30 "the report of the load $1" grep -q '^acked=' "$E2E_OUT/$SCENARIO.$1.load"
  say "load $1: $(grep '^acked=' "$E2E_OUT/$SCENARIO.$1.load")"
  equal "records lost by the load $1" 0 "$(load_report "$1" lost)"
}
# load_report NAME KEY: one of acked, lost, duplicated, refused, not_enough_replicas, p50_ms, p99_ms, max_ms
# (from the first attempt of a record to its ack: max_ms is the longest time a partition took no writes)
load_report() { sed -n "s/^acked=/ acked=/; s/.* $2=\([^ ]*\).*/\1/p" "$E2E_OUT/$SCENARIO.$1.load"; }

# --- harming
# pod_kill POD: out of the books at once; a kubelet still asks its process to stop while the next pod starts beside it
declare -A KILLED
pod_kill() {
  KILLED[$1]=$(field "pod/$1" '{.metadata.uid}')
  k delete pod "$1" --grace-period=0 --force --wait=false
}

# pod_is_new_and_ready POD: its pod is not the one that pod_kill ended, and serves
pod_is_new_and_ready() {
  [ "$(field "pod/$1" '{.metadata.uid}')" != "${KILLED[$1]:-}" ] && pod_is_ready "$1"
}
pod_is_ready() { [ "$(field "pod/$1" '{.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
# pod_was_restarted POD TIMES: its container has been started so often again, and serves
pod_was_restarted() {
  [ "$(field "pod/$1" '{.status.containerStatuses[0].restartCount}')" = "$2" ] && pod_is_ready "$1"
}
# children_left: how many objects of the operator there are in the namespace, claims aside
children_left() {
  k get statefulsets,pods,services,configmaps,secrets,serviceaccounts,poddisruptionbudgets,networkpolicies \
    -l app.kubernetes.io/managed-by=ottla-operator -o name | wc -l
}

# --- running one scenario, by run
scenario() {
  SCENARIO=$1 SPACE=e2e-${1//[^a-z0-9]/-}
  : >"$E2E_OUT/$SCENARIO.figures"
  "$KUBECTL" create namespace "$SPACE" || exit 1
  "$KUBECTL" label namespace "$SPACE" pod-security.kubernetes.io/enforce=restricted e2e=scenario || exit 1
  trap 'scenario_over $?' EXIT
  set -eE
  # shellcheck source=/dev/null
  . "$2"
}
scenario_over() {
  trap - EXIT
  set +eE
  if [ "$1" != 0 ] && [ "$1" != "$SKIPPED" ]; then
    diagnose
    [ -z "${KEEP:-}" ] || exit "$1"
  fi
  # Finalizers need an operator, which a scenario that failed may have taken away.
  o get deployment ottla >"$work/out" 2>&1 || install_operator
  say "deleting the namespace"
  "$KUBECTL" delete namespace "$SPACE" --timeout=180s || exit 1
  exit "$1"
}
diagnose() {
  say "what there is:"
  k get okc,okt,statefulsets,pods,pvc -o wide
  k get okc -o yaml | sed -n '/^  status:/,$p' | head -120
  k get events --sort-by=.lastTimestamp | tail -30
  for pod in $(k get pods -o name); do
    say "last lines of $pod"
    k logs "$pod" --tail=15
  done
  say "last lines of the operator"
  operator_logs | tail -30
} 2>&1
