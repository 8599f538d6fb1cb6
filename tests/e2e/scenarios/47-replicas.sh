# A topic gets another number of replicas by its resource, under load: what moves is told, nothing acked is lost, more replicas
# than brokers are refused, and a cluster with fewer brokers than replicas shrinks once its topics ask for fewer.

# ask_for REPLICAS
ask_for() { k patch okt orders --type=merge -p "{\"spec\":{\"replicas\":$1}}"; }
# in_sync REPLICAS: all partitions have exactly so many, all of them in sync, as clients are told
in_sync() {
  local ids="[0-9]+(,[0-9]+){$(($1 - 1))}"
  is 6 sh -c "'$KCAT' -b '$(bootstrap demo)' -L -t orders | grep -cE 'replicas: $ids, isrs: $ids\$'"
}

a_cluster demo 3
ready 120 okc/demo
a_topic orders demo 6 1
ready 60 okt/orders
seq 1000 | produce demo orders

say 'three replicas instead of one, under load'
load_start writer demo orders
began=$(now)
ask_for 3
ready 120 okt/orders
figure 'three replicas of six partitions instead of one' "$(seconds_since "$began")" s
equal 'replicas by the status' 3 "$(field okt/orders '{.status.replicas}')"
await 10 'three replicas by the brokers' in_sync 3
matches 'the events' 'ReplicasChanged' "$(k get events -o 'jsonpath={.items[*].reason}')"

say 'more replicas than brokers are refused, and nothing is touched'
ask_for 4
stalls okt/orders TooFewBrokers 'set spec.replicas to 3 or less'
in_sync 3
ask_for 3
ready 30 okt/orders

load_stop writer
# From the moment that a partition of one replica is to have three until the second is in sync, it has fewer than its
# min.insync.replicas asks for, as in Kafka: acks=all is refused, and clients try again.
figure 'refusals for lack of replicas' "$(load_report writer not_enough_replicas)" ''
figure 'longest time without writes while replicas were added' "$(load_report writer max_ms)" ms 5000

# Two brokers have other defaults than three: all of them restart, and with them the pods' addresses change, which is all that
# the writer knows.
say 'too few brokers for the replicas are refused, and come about when there are fewer replicas'
k scale okc demo --replicas=2
stalls okc/demo TooFewBrokers 'orders \(3 replicas\)'
ask_for 2
ready 300 okc/demo
ready 60 okt/orders
await 10 'two replicas by the brokers' in_sync 2
equal 'broker pods' 2 "$(k get pods -l app.kubernetes.io/instance=demo -o name | wc -l)"
consume demo orders | grep -cE '^[0-9]+$' | grep -qx 1000
