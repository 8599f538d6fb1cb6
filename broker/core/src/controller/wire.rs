//! How commands and their answers travel from a broker to the active controller.
//!
//! As JSON: fields are found by name, unknown ones are passed over and absent ones have defaults, so brokers of
//! different releases understand each other. A command that a controller does not know is refused, and one that an
//! older controller might not know is sent only once the finalized `ottla.version` says that none is older.

use super::{Command, Error, Response};

/// What arrived is no command or answer that this release knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown to this release: {0}")]
pub struct DecodeError(String);

impl Command {
    /// The command for the wire.
    pub fn to_wire(&self) -> Vec<u8> {
        encode(self)
    }

    /// The command out of what arrived.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, DecodeError> {
        serde_json::from_slice(bytes).map_err(|error| DecodeError(error.to_string()))
    }

    /// Its name, for log lines.
    pub fn name(&self) -> String {
        let text = format!("{self:?}");
        text.split(['(', ' ']).next().unwrap_or_default().to_owned()
    }
}

/// What a command came to, for the wire.
pub fn encode_result(result: &Result<Response, Error>) -> Vec<u8> {
    encode(result)
}

/// What a command came to, out of what arrived.
pub fn decode_result(bytes: &[u8]) -> Result<Result<Response, Error>, DecodeError> {
    serde_json::from_slice(bytes).map_err(|error| DecodeError(error.to_string()))
}

fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("commands and answers have no maps with other keys than text, and cannot fail")
}

#[cfg(test)]
mod tests {
    use super::super::{FenceBroker, Operation};
    use super::*;
    use crate::{BrokerEpoch, BrokerId};

    #[test]
    fn fields_of_a_newer_release_are_passed_over_and_unknown_commands_refused() {
        let fence = FenceBroker { broker: BrokerId(3), epoch: BrokerEpoch(7) }.into_command();
        assert_eq!(fence.to_wire(), br#"{"FenceBroker":{"broker":3,"epoch":7}}"#);
        let newer = br#"{"FenceBroker":{"broker":3,"epoch":7,"because":"of this"}}"#;
        assert_eq!(Command::from_wire(newer), Ok(fence));
        assert!(Command::from_wire(br#"{"Dance":{}}"#).is_err());
        assert!(Command::from_wire(b"").is_err());
    }
}
