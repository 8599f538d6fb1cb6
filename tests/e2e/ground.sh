# The three grounds that scenarios run on. Each gives a KUBECONFIG, an operator that looks at all namespaces, images, and:
#   operator_logs            what it wrote
#   operator_kill            ends it as a crash would; it is started again by itself or by the runner
#   can CAPABILITY           whether this ground has it: nodes (that can be crashed), growing (of volumes), kernel (real pods)

ground_up() {
  case $E2E_ON in
    embedded) embedded_up ;;
    kit) kit_up ;;
    *) given_up ;;
  esac
}
ground_down() {
  case $E2E_ON in
    embedded) embedded_down ;;
    kit) kit_down ;;
    *) ;;
  esac
}

# --- the embedded API: one process; the operator is another, so that it can be killed
embedded_up() {
  export E2E_BROKER_IMAGE=ghcr.io/ottla-io/ottla-broker:e2e E2E_OTTLA_IMAGE=ghcr.io/ottla-io/ottla:e2e
  "$OTTLA" local --bare --data "$work/local" >"$E2E_OUT/local.log" 2>&1 &
  local_pid=$!
  export KUBECONFIG=$work/local/kubeconfig
  await 20 "the embedded API" "$KUBECTL" wait --for=condition=Established --timeout=5s crd/kafkaclusters.ottla.io
  embedded_operator
}
embedded_operator() {
  # Started again whenever it ends, as a Deployment's pod is; its address for probes is its own.
  OTTLA_HOSTS_FILE=$work/local/hosts "$OTTLA" operator --http-listener 127.0.0.1:0 >>"$E2E_OUT/operator.log" 2>&1 &
  echo $! >"$work/operator.pid"
}
embedded_down() {
  [ ! -s "$work/operator.pid" ] || kill "$(cat "$work/operator.pid")" 2>/dev/null
  [ -z "${local_pid:-}" ] || { kill "$local_pid" 2>/dev/null && wait "$local_pid"; }
  cp "$work/local/ottla-local.log" "$E2E_OUT/" 2>/dev/null || true
}
operator_logs() { cat "$E2E_OUT/operator.log"; }
operator_kill() {
  kill -9 "$(cat "$work/operator.pid")"
  embedded_operator
}
