# Many topics as custom resources, made as fast as the API server takes them: all of them become Ready within a minute, by an
# operator that needs no more than 64 MiB, and one that is changed among them is done at once. TOPICS says how many; the goal
# is 10,000. Of the release build, which is what images have: Ready after 37 s, a change in 30 ms, 56 MiB (2026-11-30, quiet). Of the
# profile `local`: 54 s, 27 ms, 62 to 65 MiB, of which 27 are pages of the program, little optimised, that every subcommand shares.

: "${TOPICS:=1000}"
can memory || skip 'nobody here tells how much memory the operator has'
a_cluster demo 1
ready 120 okc/demo
path=/apis/ottla.io/v1alpha1/namespaces/$SPACE/kafkatopics

# many METHOD < lines of NAME and JSON: sends each, sixteen at a time, over connections that are kept
many() {
  local method=$1 kind=application/json
  [ "$method" != PATCH ] || kind=application/merge-patch+json
  awk -v url="http://localhost:$port$path" -v method="$method" -v kind="$kind" '
    NR > 1 { print "next" }
    { name = $1; sub(/^[^ ]* /, ""); gsub(/"/, "\\\"")
      printf "url = \"%s%s\"\nrequest = %s\nheader = \"Content-Type: %s\"\ndata = \"%s\"\noutput = /dev/null\nfail\nsilent\n",
        url, method == "POST" ? "" : "/" name, method, kind, $0 }' >"$work/requests"
  curl --parallel --parallel-max 16 --config "$work/requests"
}
topics() {
  seq -f 't-%05.0f' "$TOPICS" | sed 's/.*/& {"apiVersion":"ottla.io\/v1alpha1","kind":"KafkaTopic","metadata":{"name":"&"},"spec":{"clusterRef":{"name":"demo"},"partitions":1,"replicas":1}}/'
}
# A program of its own for each look would take a good part of a small machine.
ready_in() { curl -s "http://localhost:$port$path$1" | grep -o '"status":"True","type":"Ready"' | wc -l; }
last_is_ready() { is 1 ready_in "/t-$(printf %05d "$TOPICS")"; }
all_ready() { is "$TOPICS" ready_in ''; }

"$KUBECTL" proxy --port=0 >"$work/proxy" 2>&1 &
proxy=$!
trap 'status=$?; kill "$proxy"; scenario_over "$status"' EXIT
await 10 'the proxy' grep -q '^Starting to serve' "$work/proxy"
port=$(grep -o '[0-9]*$' "$work/proxy")

figure 'memory of the operator before' "$(operator_memory)" MiB
began=$(now)
topics | many POST
figure "$TOPICS KafkaTopics created in" "$(seconds_since "$began")" s
await 600 'the last of them is Ready' last_is_ready
await 60 'all of them are Ready' all_ready
figure "$TOPICS KafkaTopics Ready after" "$(seconds_since "$began")" s 60
figure 'most memory that the operator has had' "$(operator_memory)" MiB 64

say 'one is changed, twenty times'
# generation_seen NAME: of the spec that the status is about
generation_seen() { curl -s "http://localhost:$port$path/$1" | grep -o '"observedGeneration":[0-9]*' | sort -u | tr -dc '0-9\n'; }
for turn in $(seq 20); do
  name=t-$(printf %05d $((turn * (TOPICS / 20))))
  began=$(now)
  echo "$name {\"spec\":{\"config\":{\"retention.ms\":\"$((turn * 1000000))\"}}}" | many PATCH
  until is 2 generation_seen "$name" >/dev/null; do [ $(($(now) - began)) -lt 30000 ] || fail "$name was not changed"; done
  echo $(($(now) - began))
done >"$work/times"
figure 'a change among them is done, median' "$(sort -n "$work/times" | sed -n 10p)" ms 200
