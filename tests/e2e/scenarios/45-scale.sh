# `kubectl scale` is the whole runbook: 3 → 5 → 3 → 5 brokers under load. Partitions are spread evenly each time and
# nothing acked is lost; brokers that leave are emptied first and come back empty; too few brokers are refused.

# brokers_hold FIELD: the least and the most of what brokers hold or lead, by the status
brokers_hold() {
  field okc/demo "{.status.brokerStates[*].$1}" | tr ' ' '\n' | sort -n | sed -n '1p;$p' | paste -sd' '
}
# even FIELD: no broker holds more than one above any other
even() {
  local least most
  read -r least most <<<"$(brokers_hold "$1")"
  [ $((most - least)) -le 1 ] || fail "$1 differ: from $least to $most"
}
# scaled TO SECONDS
scaled() {
  local began
  began=$(now)
  k scale okc demo --replicas="$1"
  ready "$2" okc/demo
  figure "scaled to $1 brokers under load" "$(seconds_since "$began")" s
  equal 'broker pods' "$1" "$(k get pods -l app.kubernetes.io/instance=demo -o name | wc -l)"
  equal 'brokers in status' "$1" "$(field okc/demo '{.status.brokerStates[*].id}' | wc -w)"
  even replicas
  even leaders
}
# drains: whether any broker is being emptied
drains() { field okc/demo '{.status.brokerStates[*].state}' | grep -q Draining; }
# the disk that broker ID was retired with, as its claim says
retired() { field "pvc/data-demo-broker-$1" '{.metadata.annotations.ottla\.io/retired-directories}'; }

a_cluster demo 3
ready 120 okc/demo
a_topic orders demo 12 3
a_topic flights demo 6 2
ready 60 okt/orders okt/flights
seq 1000 | produce demo flights

say 'out and in and out again, under load'
load_start writer demo orders
scaled 5 300
scaled 3 300
equal 'claims that are kept' 5 "$(k get pvc -o name | wc -l)"
matches 'the disk of broker 4 is retired' '^[A-Za-z0-9_-]{22}$' "$(retired 4)"
scaled 5 300
load_stop writer
equal 'refusals for lack of replicas' 0 "$(load_report writer not_enough_replicas)"
figure 'longest time without writes while scaling' "$(load_report writer max_ms)" ms 5000
consume demo flights | sort -n | cmp - <(seq 1000)

say 'what was done is told'
matches 'the events' 'ScaleBegun' "$(k get events -o 'jsonpath={.items[*].reason}')"
matches 'the events' 'ScaleFinished' "$(k get events -o 'jsonpath={.items[*].reason}')"

say 'too few brokers are refused, and nothing is touched'
k scale okc demo --replicas=2
stalls okc/demo TooFewBrokers 'orders \(3 replicas\)'
equal 'broker pods' 5 "$(k get pods -l app.kubernetes.io/instance=demo -o name | wc -l)"

say 'the operator dies in the middle of it, and it turns back'
k scale okc demo --replicas=3
await 60 'it has begun' drains
operator_kill
k scale okc demo --replicas=4
ready 300 okc/demo
equal 'broker pods' 4 "$(k get pods -l app.kubernetes.io/instance=demo -o name | wc -l)"
even replicas
consume demo flights | sort -n | cmp - <(seq 1000)
