# The release of the operator from a test to its removal: helm test, upgrade, rollback, uninstall and a new installation.
# The cluster serves all the while, with every record that it had, and its brokers are not restarted.
# This scenario replaces the operator, so nothing else may run beside it.

pods_of() { k get pods -l app.kubernetes.io/instance=demo -o jsonpath='{range .items[*]}{.metadata.uid} {end}'; }

a_cluster demo 3
ready 120 okc/demo
a_topic orders demo 3 3
ready 30 okt/orders
seq 500 | produce demo orders
uids=$(pods_of)

say 'helm test makes a cluster, produces and consumes, and takes it away again'
"$HELM" test ottla --namespace "$OPERATOR_SPACE" --timeout 240s
await 120 'nothing is left of the test' is '' o get okc,pvc,pods -l app.kubernetes.io/instance=ottla-test -o name

load_start writer demo orders
say 'an upgrade to two operators, one of which works'
"$HELM" upgrade ottla "$E2E_ROOT/charts/ottla" --namespace "$OPERATOR_SPACE" --values "$work/values.yaml" \
  --set replicas=2,logLevel=debug --wait --timeout 120s
equal 'operators' 2 "$(o get deployment ottla -o jsonpath='{.status.readyReplicas}')"
equal 'definitions are still there' 2 "$("$KUBECTL" get crd -o name | grep -c ottla.io)"
a_topic while-upgraded demo 1 3
ready 60 okt/while-upgraded

say 'a rollback'
"$HELM" rollback ottla 1 --namespace "$OPERATOR_SPACE" --wait --timeout 120s
equal 'operators' 1 "$(o get deployment ottla -o jsonpath='{.status.readyReplicas}')"

say 'no operator at all'
"$HELM" uninstall ottla --namespace "$OPERATOR_SPACE" --wait --timeout 120s
equal 'pods of brokers are the same' "$uids" "$(pods_of)"
equal 'the cluster is still there' 1 "$(k get okc -o name | wc -l)"
a_topic unattended demo 1 3

say 'a new installation takes up what there is'
install_operator
ready 60 okt/unattended
ready 60 okc/demo
load_stop writer
equal 'refusals for lack of replicas' 0 "$(load_report writer not_enough_replicas)"
equal 'pods of brokers are the same' "$uids" "$(pods_of)"
consume demo orders | grep -cE '^[0-9]+$' | grep -qx 500
