//! What the operator itself is told at its start.

use std::{net::SocketAddr, time::Duration};

use crate::election::LeaseName;

/// The version of this operator, and of the broker image it runs when a spec names none.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How one operator runs.
#[derive(Clone, Debug)]
pub struct OperatorConfig {
    /// The namespaces it looks at; none is all of them.
    pub namespaces: Vec<String>,
    /// The Lease whose holder works, if there may be several operators.
    pub lease: Option<LeaseName>,
    /// The broker's image for clusters whose spec names none.
    pub broker_image: String,
    /// Where `/metrics`, `/livez` and `/readyz` are served; `None` serves them nowhere.
    pub http_listener: Option<SocketAddr>,
    /// The name under which it reports events and stands for election: its pod's.
    pub instance: Option<String>,
    /// How often it looks.
    pub pace: Pace,
}

/// How often clusters are looked at, and how long something must be so that is acted on for good.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long a settled cluster is left before it is looked at without a reason.
    pub again: Duration,
    /// How soon one is looked at that waits for something no watch tells.
    pub soon: Duration,
    /// How long a broker must be seen to hold nothing before its pod goes.
    pub empty: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { again: Duration::from_secs(30), soon: Duration::from_secs(1), empty: Duration::from_secs(5) }
    }
}

impl Default for OperatorConfig {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            lease: None,
            broker_image: format!("ghcr.io/ottla-io/ottla-broker:{VERSION}"),
            http_listener: None,
            instance: None,
            pace: Pace::default(),
        }
    }
}
