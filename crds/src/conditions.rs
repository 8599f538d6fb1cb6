//! Conditions: the types both kinds report, and how one is written.
//!
//! They follow the API conventions and kstatus: `Ready` is true only when what the spec asks is so, `Reconciling` and
//! `Stalled` are true only while they apply, and every condition says for which generation it speaks.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

/// The type of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// What the spec asks is so.
    Ready,
    /// Clients can produce to and consume from every partition.
    Available,
    /// Brokers are being started, restarted, added or removed.
    Progressing,
    /// Partitions are being moved between brokers.
    Rebalancing,
    /// Serving, but with less redundancy than asked for.
    Degraded,
    /// The operator is at work on this generation (kstatus).
    Reconciling,
    /// The operator cannot go on until a person changes something (kstatus).
    Stalled,
}

impl ConditionType {
    /// The name that stands in `status.conditions[].type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Available => "Available",
            Self::Progressing => "Progressing",
            Self::Rebalancing => "Rebalancing",
            Self::Degraded => "Degraded",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }
}

/// What a pass found out about one condition; [`set`] turns it into the object's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which condition this is about.
    pub condition: ConditionType,
    /// `Some(true)` and `Some(false)` are what they say; `None` is `Unknown`.
    pub status: Option<bool>,
    /// CamelCase, one word for the cause.
    pub reason: &'static str,
    /// A sentence that says what is so and, where a person can do something, what.
    pub message: String,
}

impl Finding {
    /// A finding with all its parts.
    pub fn new(condition: ConditionType, status: bool, reason: &'static str, message: impl Into<String>) -> Self {
        Self { condition, status: Some(status), reason, message: message.into() }
    }

    fn status_text(&self) -> &'static str {
        match self.status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        }
    }
}

/// Writes `finding` into `conditions`. `lastTransitionTime` moves only when the status does, so writing the same
/// finding twice changes nothing.
pub fn set(conditions: &mut Vec<Condition>, finding: Finding, generation: Option<i64>, now: Timestamp) {
    let status = finding.status_text();
    let since = |old: Option<&Condition>| match old {
        Some(old) if old.status == status => old.last_transition_time.clone(),
        _ => Time(now),
    };
    let index = conditions.iter().position(|condition| condition.type_ == finding.condition.as_str());
    let entry = Condition {
        type_: finding.condition.as_str().to_owned(),
        status: status.to_owned(),
        reason: finding.reason.to_owned(),
        last_transition_time: since(index.and_then(|index| conditions.get(index))),
        message: finding.message,
        observed_generation: generation,
    };
    match index.and_then(|index| conditions.get_mut(index)) {
        Some(slot) => *slot = entry,
        None => conditions.push(entry),
    }
}

/// The entry for `condition`, if there is one.
pub fn find(conditions: &[Condition], condition: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|entry| entry.type_ == condition.as_str())
}

/// Whether `condition` is there and `True`.
pub fn is_true(conditions: &[Condition], condition: ConditionType) -> bool {
    find(conditions, condition).is_some_and(|entry| entry.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready(status: bool, reason: &'static str) -> Finding {
        Finding::new(ConditionType::Ready, status, reason, "a message")
    }

    #[test]
    fn a_transition_time_moves_only_with_the_status() {
        let mut conditions = Vec::new();
        set(&mut conditions, ready(false, "BrokersNotReady"), Some(1), at(10));
        set(&mut conditions, ready(false, "UnderReplicated"), Some(2), at(20));
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].last_transition_time, Time(at(10)));
        assert_eq!(conditions[0].reason, "UnderReplicated");
        assert_eq!(conditions[0].observed_generation, Some(2));

        set(&mut conditions, ready(true, "AllBrokersReady"), Some(2), at(30));
        assert_eq!(conditions[0].last_transition_time, Time(at(30)));
        assert!(is_true(&conditions, ConditionType::Ready));
        assert!(!is_true(&conditions, ConditionType::Stalled));
    }

    #[test]
    fn writing_the_same_finding_twice_changes_nothing() {
        let mut conditions = Vec::new();
        set(&mut conditions, ready(true, "AllBrokersReady"), Some(1), at(10));
        let before = conditions.clone();
        set(&mut conditions, ready(true, "AllBrokersReady"), Some(1), at(99));
        assert_eq!(conditions, before);
    }
}
