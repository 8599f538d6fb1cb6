//! Whether a plan can be carried out now: which of the brokers that are due for a restart the others can spare, as the
//! active controller says.
//!
//! Asks and changes nothing. Any answer but a plain yes is a no: whoever cannot be asked about is not restarted.

use super::{
    apply::admin,
    observe::Observed,
    plan::{Plan, Restart, Step, Why},
};
use crate::{
    context::Context,
    error::{Error, Refusal, Result},
    kafka::RestartVerdict,
};

/// Leaves in `plan` the one broker to restart now. The inner error says what nothing can be done about but wait.
pub async fn choose(mut plan: Plan, observed: &Observed, context: &Context) -> Result<Result<Plan, Refusal>> {
    for step in &mut plan {
        match step {
            Step::Wait(why) => return Ok(Err(why.clone())),
            Step::Restart(due) => match first_spared(due, observed, context).await? {
                Ok(restart) => *due = vec![restart],
                Err(reason) => return Ok(Err(Refusal::new("WaitingForReplicas", reason))),
            },
            _ => {}
        }
    }
    Ok(Ok(plan))
}

async fn first_spared(due: &[Restart], observed: &Observed, context: &Context) -> Result<Result<Restart, String>> {
    let mut first_reason = None;
    for restart in due {
        let Some(broker) = restart.serving else {
            return Ok(Ok(restart.clone()));
        };
        let doing = || format!("ask whether {} can be restarted", restart.pod);
        let admin = admin(observed, context).map_err(Error::kafka(doing()))?;
        let verdict = admin.check_restart(broker).await.map_err(Error::kafka(doing()))?;
        match objection(&verdict, restart.why) {
            None => return Ok(Ok(Restart { unavoidable: verdict.unavoidable, ..restart.clone() })),
            Some(reason) => {
                first_reason.get_or_insert(format!("{} cannot be restarted yet: {reason}", restart.pod));
            }
        }
    }
    Ok(Err(first_reason.unwrap_or_default()))
}

/// What speaks against a restart, in a few words. Harm that no waiting avoids does not, since it would hold up every
/// restart for ever; but a broker that is to come back without its disk must leave nothing short.
fn objection(verdict: &RestartVerdict, why: Why) -> Option<String> {
    let RestartVerdict { allowed, unavoidable, catching_up, holds_quorum, .. } = verdict;
    if !allowed {
        return Some(harm(verdict));
    }
    if why == Why::NewDisk && *holds_quorum {
        return Some("no majority of the metadata quorum would be left without its disk".to_owned());
    }
    if why == Why::NewDisk && *unavoidable > 0 {
        let what =
            "partitions have too few other in-sync replicas to give up the disk: raise their replicas, or delete them";
        return Some(format!("{unavoidable} {what}"));
    }
    (*catching_up > 0).then(|| format!("{catching_up} partitions wait for another broker to catch up"))
}

fn harm(verdict: &RestartVerdict) -> String {
    let Some(first) = verdict.harmed.first() else {
        return "the metadata quorum would lose its majority".to_owned();
    };
    let what = if first.goes_offline { "would have no leader" } else { "would refuse acks=all" };
    let more = match verdict.harmed.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("partition {}-{} {what}{more}", first.topic, first.partition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{HarmedPartition, fake::harmless};

    #[test]
    fn a_restart_waits_for_what_waiting_mends_and_says_what_that_is() {
        let harmed = |goes_offline| HarmedPartition { topic: "orders".to_owned(), partition: 4, goes_offline };
        let refused = RestartVerdict { allowed: false, ..harmless() };
        let cases = [
            (harmless(), None),
            (RestartVerdict { unavoidable: 7, ..harmless() }, None),
            (RestartVerdict { catching_up: 2, ..harmless() }, Some("2 partitions wait for another broker to catch up")),
            (
                RestartVerdict { harmed: vec![harmed(true)], ..refused.clone() },
                Some("partition orders-4 would have no leader"),
            ),
            (
                RestartVerdict { harmed: vec![harmed(false), harmed(true)], ..refused.clone() },
                Some("partition orders-4 would refuse acks=all, and 1 more"),
            ),
            (RestartVerdict { loses_quorum: true, ..refused }, Some("the metadata quorum would lose its majority")),
        ];
        for (verdict, expected) in cases {
            assert_eq!(objection(&verdict, Why::NewSpec).as_deref(), expected, "{verdict:?}");
        }
        let price = RestartVerdict { unavoidable: 7, ..harmless() };
        let refused = objection(&price, Why::NewDisk).unwrap();
        assert!(
            refused.starts_with("7 partitions have too few other in-sync replicas to give up the disk"),
            "{refused}"
        );
        let quorum = RestartVerdict { holds_quorum: true, ..harmless() };
        let refused = objection(&quorum, Why::NewDisk).unwrap();
        assert!(refused.contains("metadata quorum"), "{refused}");
        assert_eq!(objection(&quorum, Why::NewSpec), None);
        assert_eq!(objection(&harmless(), Why::NewDisk), None);
    }
}
