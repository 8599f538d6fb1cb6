# From one broker to three and back to one: votes follow the number of controllers, internal topics get three copies and
# give them up again, and records and committed offsets come along.

# group_reads: what a member of the group reads that it has not read before
group_reads() {
  timeout 60 "$KCAT" -q -b "$(bootstrap tiny)" -G readers -X auto.offset.reset=earliest -e flights
}
# copies TOPIC: how many copies the partitions of a topic have in sync, each number once
copies() {
  "$KCAT" -b "$(bootstrap tiny)" -L -t "$1" | sed -n 's/.* isrs: *//p' | awk -F, '{ print NF }' | sort -u | paste -sd' '
}
# has_copies COUNT: waits until the committed offsets have so many copies; a broker that is asked may hear of it late
has_copies() {
  await 60 "committed offsets in $1 copies" is "$1" copies __consumer_offsets
}
# resized TO SECONDS
resized() {
  local began
  began=$(now)
  k scale okc tiny --replicas="$1"
  ready "$2" okc/tiny
  figure "scaled to $1 brokers" "$(seconds_since "$began")" s
  equal 'broker pods' "$1" "$(k get pods -l app.kubernetes.io/instance=tiny -o name | wc -l)"
}

a_cluster tiny 1
ready 120 okc/tiny
a_topic flights tiny 4 1
ready 60 okt/flights
seq 100 | produce tiny flights
group_reads | sort -n | cmp - <(seq 100)
has_copies 1

say 'out'
resized 3 300
has_copies 3
seq 101 200 | produce tiny flights
group_reads | sort -n | cmp - <(seq 101 200)
consume tiny flights | sort -n | cmp - <(seq 200)

say 'in'
resized 1 300
has_copies 1
consume tiny flights | sort -n | cmp - <(seq 200)
seq 201 300 | produce tiny flights
group_reads | sort -n | cmp - <(seq 201 300)
