//! Which of the brokers that are due for a restart the others can spare now, as the active controller says.
//!
//! Asks and changes nothing. Any answer but a plain yes is a no: whoever cannot be asked about is not restarted.

use super::{
    apply::admin,
    observe::Observed,
    plan::{Plan, Restart, Step},
};
use crate::{
    context::Context,
    error::{Error, Result},
    kafka::RestartVerdict,
};

/// Leaves in `plan` the one broker to restart now. The inner error says why none can be spared.
pub async fn choose(mut plan: Plan, observed: &Observed, context: &Context) -> Result<Result<Plan, String>> {
    for step in &mut plan {
        if let Step::Restart(due) = step {
            match first_spared(due, observed, context).await? {
                Ok(restart) => *due = vec![restart],
                Err(reason) => return Ok(Err(reason)),
            }
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
        match objection(&verdict) {
            None => return Ok(Ok(Restart { unavoidable: verdict.unavoidable, ..restart.clone() })),
            Some(reason) => {
                first_reason.get_or_insert(format!("{} cannot be restarted yet: {reason}", restart.pod));
            }
        }
    }
    Ok(Err(first_reason.unwrap_or_default()))
}

/// What speaks against a restart, in a few words. Harm that no waiting avoids does not: such partitions would hold up
/// every restart for ever.
fn objection(verdict: &RestartVerdict) -> Option<String> {
    if !verdict.allowed {
        return Some(harm(verdict));
    }
    let catching_up = verdict.catching_up;
    (catching_up > 0).then(|| format!("{catching_up} partitions wait for another broker to catch up"))
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
            assert_eq!(objection(&verdict).as_deref(), expected, "{verdict:?}");
        }
    }
}
