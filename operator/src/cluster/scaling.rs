//! What stands on a KafkaCluster while it is scaled: written before the first act, taken away after the last.
//!
//! How far it has come is not written anywhere: that is seen each time anew.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A change of the number of brokers that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// How many there were.
    pub from: i32,
    /// How many there are to be.
    pub to: i32,
    /// Brokers that the operator, and not a person, gives nothing more: it takes that back if they stay after all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cordoned: BTreeSet<i32>,
}

impl Scaling {
    /// Reads the annotation; one that somebody garbled is as good as none, and is written anew.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_it_is_written_and_what_is_garbled_is_none() {
        let scaling = Scaling { from: 5, to: 3, cordoned: [3, 4].into() };
        let text = serde_json::to_string(&scaling).unwrap();
        assert_eq!(text, r#"{"from":5,"to":3,"cordoned":[3,4]}"#);
        assert_eq!(Scaling::read(&text), Some(scaling));
        assert_eq!(Scaling::read(r#"{"from":3,"to":5}"#).unwrap().cordoned, BTreeSet::new());
        assert_eq!(Scaling::read("five"), None);
    }
}
