//! Listeners: where a broker listens, what it tells clients to dial, and which listener serves whom.

use std::collections::BTreeMap;
use std::fmt;

use ottla_core::config::ListenerAddress;

use super::Error;

/// A named address, `NAME://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of the listener, upper case.
    pub name: String,
    /// Host; empty in `listeners` means every interface.
    pub host: String,
    /// Port; 0 in `listeners` means any free one.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}:{}", self.name, self.host, self.port)
    }
}

impl Endpoint {
    /// The address to bind: an empty host stands for every interface.
    pub fn bind_address(&self) -> (String, u16) {
        let host = if self.host.is_empty() { "0.0.0.0" } else { &self.host };
        (host.to_owned(), self.port)
    }

    /// Whether it stands for every interface, so that nobody can dial it.
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host.as_str(), "" | "0.0.0.0" | "::")
    }
}

/// All listeners of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// Listeners that speak the Kafka protocol.
    pub kafka: Vec<Endpoint>,
    /// The listener that speaks gRPC (metadata quorum, cluster control), if the broker has one.
    pub controller: Option<Endpoint>,
    /// What other brokers are told to dial for `controller`, where `advertised.listeners` says; else it is found out.
    pub controller_advertised: Option<Endpoint>,
    /// What clients are told to dial, for each of `kafka`, or for those that `advertised.listeners` names; port 0 is
    /// replaced once the listener is bound.
    pub advertised: Vec<Endpoint>,
    /// Name of the listener that brokers use among themselves.
    pub inter_broker: String,
}

impl Listeners {
    /// Reads the listener keys; `get` gives the value that holds for a key.
    pub(super) fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let value = |key: &str| get(key).unwrap_or_default();
        let protocols = protocol_map(&value("listener.security.protocol.map"))?;
        let controller_names: Vec<String> = names(&value("controller.listener.names"));
        let (controller, kafka): (Vec<_>, Vec<_>) =
            endpoints("listeners", &value("listeners"))?.into_iter().partition(|e| controller_names.contains(&e.name));
        if kafka.is_empty() {
            return Err(Error::invalid("listeners", &value("listeners"), "it names no listener for Kafka clients"));
        }
        for endpoint in &kafka {
            check_protocol(endpoint, &protocols)?;
        }
        let advertised = advertised(&kafka, &value("advertised.listeners"), &controller_names)?;
        let controller_advertised = endpoints("advertised.listeners", &value("advertised.listeners"))?
            .into_iter()
            .find(|endpoint| controller.iter().any(|own| own.name == endpoint.name) && !endpoint.is_wildcard());
        let inter_broker = get("inter.broker.listener.name").unwrap_or_else(|| default_inter_broker(&kafka));
        if !kafka.iter().any(|e| e.name == inter_broker) {
            let reason = "no listener of that name is in listeners";
            return Err(Error::invalid("inter.broker.listener.name", &inter_broker, reason));
        }
        if !advertised.iter().any(|e| e.name == inter_broker) {
            let reason = format!("brokers use listener {inter_broker} among themselves: name it, too");
            return Err(Error::invalid("advertised.listeners", &value("advertised.listeners"), reason));
        }
        Ok(Self { kafka, controller: controller.into_iter().next(), controller_advertised, advertised, inter_broker })
    }
}

/// Kafka's default is the listener whose protocol is PLAINTEXT; where none is called so, the first.
fn default_inter_broker(kafka: &[Endpoint]) -> String {
    kafka.iter().find(|e| e.name == "PLAINTEXT").or(kafka.first()).map(|e| e.name.clone()).unwrap_or_default()
}

fn advertised(kafka: &[Endpoint], value: &str, controller_names: &[String]) -> Result<Vec<Endpoint>, Error> {
    const KEY: &str = "advertised.listeners";
    let mut given = endpoints(KEY, value)?;
    given.retain(|endpoint| !controller_names.contains(&endpoint.name));
    if let Some(stray) = given.iter().find(|a| !kafka.iter().any(|e| e.name == a.name)) {
        return Err(Error::invalid(KEY, value, format!("listener {} is not in listeners", stray.name)));
    }
    if let Some(wild) = given.iter().find(|a| a.is_wildcard()) {
        let reason = format!("{wild} is no address that a client can dial: name a host");
        return Err(Error::invalid(KEY, value, reason));
    }
    let own = |endpoint: &Endpoint| match endpoint.is_wildcard() {
        true => Endpoint { host: host_name(), ..endpoint.clone() },
        false => endpoint.clone(),
    };
    if given.is_empty() {
        return Ok(kafka.iter().map(own).collect());
    }
    // As in Kafka: who says what is advertised says all of it.
    Ok(kafka.iter().filter_map(|e| given.iter().find(|a| a.name == e.name).cloned()).collect())
}

pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn check_protocol(endpoint: &Endpoint, protocols: &BTreeMap<String, String>) -> Result<(), Error> {
    const KEY: &str = "listener.security.protocol.map";
    match protocols.get(&endpoint.name).map(String::as_str) {
        Some("PLAINTEXT") => Ok(()),
        Some(protocol) => {
            let reason = format!("listener {} asks for it, and this release serves PLAINTEXT only", endpoint.name);
            Err(Error::invalid(KEY, protocol, reason))
        }
        None => Err(Error::invalid(KEY, "", format!("listener {} has no security protocol in it", endpoint.name))),
    }
}

fn protocol_map(value: &str) -> Result<BTreeMap<String, String>, Error> {
    const KEY: &str = "listener.security.protocol.map";
    let pair = |word: &str| {
        let (name, protocol) = word.split_once(':')?;
        let known = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(&protocol.trim());
        known.then(|| (name.trim().to_uppercase(), protocol.trim().to_owned()))
    };
    words(value)
        .map(|word| {
            let reason = format!("{word} is not NAME:PROTOCOL with PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL");
            pair(word).ok_or_else(|| Error::invalid(KEY, value, reason))
        })
        .collect()
}

/// Parses `NAME://host:port,…`. Names and ports (but 0) must differ, as in Kafka.
pub(super) fn endpoints(key: &'static str, value: &str) -> Result<Vec<Endpoint>, Error> {
    let mut out: Vec<Endpoint> = Vec::new();
    for word in words(value) {
        let reason = || format!("{word} is not NAME://host:port");
        let endpoint = parse_endpoint(word).ok_or_else(|| Error::invalid(key, value, reason()))?;
        if out.iter().any(|other| other.name == endpoint.name) {
            return Err(Error::invalid(key, value, format!("listener {} is given twice", endpoint.name)));
        }
        let same = |other: &Endpoint| other.port == endpoint.port && other.host == endpoint.host && other.port != 0;
        if key == "listeners" && out.iter().any(same) {
            return Err(Error::invalid(key, value, format!("port {} is given twice", endpoint.port)));
        }
        out.push(endpoint);
    }
    Ok(out)
}

fn parse_endpoint(word: &str) -> Option<Endpoint> {
    let ListenerAddress { listener, host, port } = ListenerAddress::parse(word)?;
    Some(Endpoint { name: listener.to_uppercase(), host: host.to_owned(), port })
}

fn names(value: &str) -> Vec<String> {
    words(value).map(str::to_uppercase).collect()
}

pub(super) fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Listeners, Error> {
        Listeners::read(|key| {
            let given = pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned());
            given.or_else(|| ottla_core::config::broker_key(key).and_then(|k| k.default).map(str::to_owned))
        })
    }

    #[test]
    fn the_defaults_serve_loopback() {
        let listeners = read(&[]).unwrap();
        assert_eq!(listeners.kafka[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
        assert_eq!(listeners.controller.unwrap().port, 9093);
        assert_eq!(listeners.advertised, listeners.kafka);
        assert_eq!(listeners.inter_broker, "PLAINTEXT");
    }

    #[test]
    fn named_listeners_are_mapped_and_advertised_one_by_one() {
        let listeners = read(&[
            ("listeners", "plain://0.0.0.0:9092,EXT://[::1]:9094,CONTROLLER://:9093"),
            ("advertised.listeners", "EXT://broker.example:19094,PLAIN://10.0.0.1:9092"),
            ("listener.security.protocol.map", "PLAIN:PLAINTEXT,EXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
            ("inter.broker.listener.name", "PLAIN"),
        ])
        .unwrap();
        let advertised: Vec<_> = listeners.advertised.iter().map(ToString::to_string).collect();
        assert_eq!(advertised, ["PLAIN://10.0.0.1:9092", "EXT://broker.example:19094"]);
        assert_eq!(listeners.kafka[1].host, "::1");
    }

    #[test]
    fn a_listener_that_advertised_listeners_leaves_out_is_advertised_to_nobody() {
        let two = "PLAINTEXT://0.0.0.0:9092,EXT://0.0.0.0:9094,CONTROLLER://:9093";
        let map = ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,EXT:PLAINTEXT,CONTROLLER:PLAINTEXT");
        let advertised = |value: &str| {
            let listeners = read(&[("listeners", two), ("advertised.listeners", value), map]);
            listeners.map(|all| all.advertised.iter().map(|endpoint| endpoint.name.clone()).collect::<Vec<_>>())
        };
        assert_eq!(advertised("PLAINTEXT://h:9092,CONTROLLER://h:9093").unwrap(), ["PLAINTEXT"]);
        assert_eq!(advertised("CONTROLLER://h:9093").unwrap(), ["PLAINTEXT", "EXT"]);
        let refused = advertised("EXT://h:9094").unwrap_err().to_string();
        assert!(refused.contains("brokers use listener PLAINTEXT among themselves"), "{refused}");
    }

    #[test]
    fn bad_listeners_are_refused_with_the_key_and_the_reason() {
        for (key, value, part) in [
            ("listeners", "nonsense", "not NAME://host:port"),
            ("listeners", "PLAINTEXT://h:1,PLAINTEXT://h:2", "given twice"),
            ("listeners", "CONTROLLER://:9093", "no listener for Kafka clients"),
            ("listeners", "SSL://:9092", "PLAINTEXT only"),
            ("listeners", "OTHER://:9092", "no security protocol"),
            ("advertised.listeners", "PLAINTEXT://0.0.0.0:9092", "can dial"),
            ("advertised.listeners", "EXT://h:1", "not in listeners"),
            ("inter.broker.listener.name", "EXT", "no listener of that name"),
            ("listener.security.protocol.map", "A:B", "not NAME:PROTOCOL"),
        ] {
            let error = read(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(part), "{key}={value}: {error}");
        }
    }
}
