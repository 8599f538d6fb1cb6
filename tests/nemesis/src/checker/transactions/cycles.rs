//! Write cycles (G0): committed transactions that follow each other in a circle, over one partition or several.

use std::collections::BTreeMap;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;

use super::traces::{Trace, Traces};

/// The circles, and how many transactions are in them.
pub(super) fn write_cycles(traces: &Traces) -> (u64, u64) {
    let mut follows: DiGraph<(), ()> = DiGraph::new();
    let mut nodes = BTreeMap::new();
    for log in traces.logs.values() {
        let committed = |id: &u32| log.traces.get(id).is_some_and(Trace::is_committed);
        let mut last = None;
        for id in log.records.values().filter_map(|cell| Some((*cell)?.0)).filter(committed) {
            let node = *nodes.entry(id).or_insert_with(|| follows.add_node(()));
            if let Some(last) = last.replace(node).filter(|last| *last != node) {
                follows.update_edge(last, node, ());
            }
        }
    }
    let circles = kosaraju_scc(&follows).into_iter().map(|circle| circle.len() as u64).filter(|length| *length > 1);
    circles.fold((0, 0), |(count, members), length| (count + 1, members + length))
}
