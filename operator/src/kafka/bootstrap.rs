//! Where a cluster is reached.

use std::fmt;

/// The addresses a client starts from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bootstrap {
    /// `host:port` of the brokers' own plain listeners; at least one.
    pub brokers: Vec<String>,
    /// The way to the cluster-control service, for those who need it.
    pub control: Option<Control>,
}

/// The way to the cluster-control service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Control {
    /// `host:port` of the brokers' CONTROLLER listeners; at least one.
    pub addresses: Vec<String>,
    /// What those listeners ask for.
    pub token: Token,
}

/// The secret of a cluster's CONTROLLER listeners. Never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Token(String);

impl Bootstrap {
    /// Only Kafka's own APIs, at `brokers`.
    pub fn of_brokers(brokers: Vec<String>) -> Self {
        Self { brokers, control: None }
    }
}

impl Token {
    /// The token that `text` holds; white space around it does not count.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// What a caller sends in `authorization`.
    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
