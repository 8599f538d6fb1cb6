//! What a client is known by, and how a subscription says which clients it is about.

use std::collections::BTreeMap;

use crate::config::list;
use crate::pattern::Pattern;

/// One thing that a client is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    /// The id that it got with its first question, as Kafka writes ids.
    InstanceId,
    /// What it calls itself.
    ClientId,
    /// The name of its software (KIP-511).
    SoftwareName,
    /// The version of its software.
    SoftwareVersion,
    /// The address that it comes from.
    SourceAddress,
    /// The port that it comes from.
    SourcePort,
}

impl Attribute {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::InstanceId,
        Self::ClientId,
        Self::SoftwareName,
        Self::SoftwareVersion,
        Self::SourceAddress,
        Self::SourcePort,
    ];

    /// The name in `match`, and of the label.
    pub fn name(self) -> &'static str {
        match self {
            Self::InstanceId => "client_instance_id",
            Self::ClientId => "client_id",
            Self::SoftwareName => "client_software_name",
            Self::SoftwareVersion => "client_software_version",
            Self::SourceAddress => "client_source_address",
            Self::SourcePort => "client_source_port",
        }
    }
}

/// What is known of a client; what it has not told is left out.
pub type Client = BTreeMap<Attribute, String>;

/// The clients that a subscription is about: those of whom every attribute named matches as a whole. Without any, all.
#[derive(Clone, Debug, Default)]
pub(super) struct Selectors(BTreeMap<Attribute, Pattern>);

impl Selectors {
    /// Reads the value of `match`: a list of `attribute=pattern`. The error is the element that is none.
    pub(super) fn parse(value: &str) -> Result<Self, String> {
        let selector = |element: &str| {
            let (name, pattern) = element.split_once('=').filter(|(_, pattern)| !pattern.contains('='))?;
            let pattern = Some(pattern.trim()).filter(|pattern| !pattern.is_empty())?;
            let attribute = Attribute::ALL.into_iter().find(|attribute| attribute.name() == name.trim())?;
            Some((attribute, Pattern::new(pattern).ok()?))
        };
        list(value)
            .map(|element| selector(element).ok_or_else(|| element.to_owned()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether the subscription is about `client`.
    pub(super) fn select(&self, client: &Client) -> bool {
        let has = |attribute, pattern: &Pattern| client.get(attribute).is_some_and(|value| pattern.matches(value));
        self.0.iter().all(|(attribute, pattern)| has(attribute, pattern))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client::from([
            (Attribute::ClientId, "orders-7".to_owned()),
            (Attribute::SoftwareName, "apache-kafka-java".to_owned()),
            (Attribute::SourcePort, "50123".to_owned()),
        ])
    }

    #[test]
    fn a_client_is_selected_when_all_that_is_named_of_it_matches_as_a_whole() {
        for (value, selected) in [
            ("", true),
            ("client_id=orders-.*", true),
            ("client_id=orders", false),
            (" client_id = orders-\\d , client_source_port=50.*", true),
            ("client_id=orders-.*,client_software_name=librdkafka", false),
            ("client_software_version=.*", false),
        ] {
            assert_eq!(Selectors::parse(value).unwrap().select(&client()), selected, "{value}");
        }
    }

    #[test]
    fn what_is_no_attribute_with_a_pattern_is_refused() {
        for bad in ["client_id", "client_id=", "=a", "client_id=a=b", "colour=blue", "client_id=("] {
            assert_eq!(Selectors::parse(&format!("client_source_port=1,{bad}")).unwrap_err(), bad);
        }
    }
}
