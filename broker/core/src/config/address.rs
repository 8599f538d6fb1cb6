//! `NAME://host:port`: how configurations write the address of a listener.

use super::check::list;

/// The broker setting that holds, for clients of some listeners, other addresses than the broker registered. Changed
/// while it runs, for one broker at a time.
pub const ADVERTISED: &str = "ottla.advertised.listeners";

/// The address of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerAddress<'a> {
    /// The listener's name, as it is written.
    pub listener: &'a str,
    /// Its host, without the brackets of an IPv6 address; may be empty.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
}

impl<'a> ListenerAddress<'a> {
    /// Reads one address.
    pub fn parse(word: &'a str) -> Option<Self> {
        let (listener, address) = word.split_once("://")?;
        let (host, port) = address.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let is_valid = !listener.is_empty() && listener.bytes().all(is_name);
        is_valid.then_some(Self { listener, host, port: port.parse().ok()? })
    }

    /// Whether the host stands for every interface, so that nobody can dial it.
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host, "" | "0.0.0.0" | "::")
    }
}

/// The addresses in a value of [`ADVERTISED`]; what is none is left out, and no such value is stored.
pub(crate) fn addresses(value: &str) -> impl Iterator<Item = ListenerAddress<'_>> {
    list(value).filter_map(ListenerAddress::parse)
}

/// Whether clients can be told all of `value`: addresses that can be dialled, one a listener.
pub(super) fn check(value: &str) -> Result<(), String> {
    let mut seen = Vec::new();
    for word in list(value) {
        let Some(address) = ListenerAddress::parse(word) else {
            return Err(format!("{word} is not NAME://host:port"));
        };
        if address.is_wildcard() || address.port == 0 || address.host.contains(char::is_whitespace) {
            return Err(format!("{word} is no address that a client can dial"));
        }
        let listener = address.listener.to_ascii_uppercase();
        if seen.contains(&listener) {
            return Err(format!("listener {listener} is given twice"));
        }
        seen.push(listener);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_name_a_host_and_a_port() {
        let address = |listener, host, port| Some(ListenerAddress { listener, host, port });
        assert_eq!(ListenerAddress::parse("EXT://broker.example:9094"), address("EXT", "broker.example", 9094));
        assert_eq!(ListenerAddress::parse("ext://[::1]:1"), address("ext", "::1", 1));
        assert_eq!(ListenerAddress::parse("EXT://:9094"), address("EXT", "", 9094));
        for word in ["EXT", "EXT://host", "://host:1", "E X://host:1", "EXT://host:65536", "EXT://host:"] {
            assert_eq!(ListenerAddress::parse(word), None, "{word}");
        }
    }

    #[test]
    fn clients_are_told_only_what_they_can_dial() {
        for value in ["", "EXT://10.0.0.1:30001", "EXT://h:1,LB://[2001:db8::1]:9094"] {
            assert_eq!(check(value), Ok(()), "{value}");
        }
        for (value, part) in [
            ("EXT", "not NAME://host:port"),
            ("EXT://0.0.0.0:1", "can dial"),
            ("EXT://[::]:1", "can dial"),
            ("EXT://h:0", "can dial"),
            ("EXT://a b:1", "can dial"),
            ("EXT://h:1,ext://h:2", "listener EXT is given twice"),
        ] {
            assert!(check(value).is_err_and(|reason| reason.contains(part)), "{value}");
        }
    }
}
