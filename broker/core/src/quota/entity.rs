//! For whom a quota is, of what, and how much.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One name, or whoever has no quota under its own name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EntityName {
    /// Each of those without a quota of their own.
    Default,
    /// This one; never empty.
    Named(String),
}

/// For whom a quota is: a user, a client id, a client id of a user, or an address. At least one of them is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QuotaEntity {
    /// The user.
    pub user: Option<EntityName>,
    /// The client id.
    pub client_id: Option<EntityName>,
    /// The address, as [`address_name`] writes it; it stands alone.
    pub ip: Option<EntityName>,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum QuotaKey {
    /// Bytes a second of produce requests (KIP-13).
    Produced,
    /// Bytes a second of records in answers to fetches (KIP-13).
    Consumed,
    /// What requests take of a thread, in percent (KIP-124): 200 are two threads all the time.
    RequestTime,
    /// Partitions made and deleted a second (KIP-599).
    Mutations,
    /// Connections that an address makes a second (KIP-612).
    Connections,
}

impl QuotaKey {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Produced, Self::Consumed, Self::RequestTime, Self::Mutations, Self::Connections];

    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Produced => "producer_byte_rate",
            Self::Consumed => "consumer_byte_rate",
            Self::RequestTime => "request_percentage",
            Self::Mutations => "controller_mutation_rate",
            Self::Connections => "connection_creation_rate",
        }
    }

    /// The one with Kafka's name `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }
}

/// The one name of an address, however it was written.
pub fn address_name(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// How much a second: more than zero, and finite.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Limit(f64);

// It is never NaN.
impl Eq for Limit {}

/// No limit can be of this size.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is no limit")]
pub struct NoLimit(f64);

impl Limit {
    /// The limit as a number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Limit {
    type Error = NoLimit;

    fn try_from(per_second: f64) -> Result<Self, NoLimit> {
        if per_second.is_finite() && per_second > 0.0 { Ok(Self(per_second)) } else { Err(NoLimit(per_second)) }
    }
}

impl From<Limit> for f64 {
    fn from(limit: Limit) -> Self {
        limit.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_more_than_nothing_and_finite_is_a_limit() {
        for none in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Limit::try_from(none).is_err(), "{none}");
        }
        assert_eq!(Limit::try_from(0.5).map(Limit::get), Ok(0.5));
    }
}
