//! What the operator itself is told at its start.

use std::net::SocketAddr;

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
}

impl Default for OperatorConfig {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            lease: None,
            broker_image: format!("ghcr.io/ottla-io/ottla-broker:{VERSION}"),
            http_listener: None,
            instance: None,
        }
    }
}
