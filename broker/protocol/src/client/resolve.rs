//! From host names to addresses.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;

/// What a resolver returns: the addresses to try, in order.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Turns a host name into addresses.
pub trait Resolve: Send + Sync {
    /// The addresses of `host`, with `port`.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// Looks into a file in the format of `/etc/hosts` first, read anew each time since pods come and go, then asks DNS.
#[derive(Clone, Debug, Default)]
pub struct HostsFileThenDns {
    hosts_file: Option<PathBuf>,
}

impl HostsFileThenDns {
    /// Names the hosts file.
    pub const VARIABLE: &'static str = "OTTLA_HOSTS_FILE";

    /// The file that the environment variable [`Self::VARIABLE`] names, if it is set.
    pub fn from_env() -> Self {
        Self { hosts_file: std::env::var_os(Self::VARIABLE).map(PathBuf::from) }
    }

    /// Looks into `file` before DNS.
    pub fn with_file(file: impl Into<PathBuf>) -> Self {
        Self { hosts_file: Some(file.into()) }
    }

    async fn in_file(&self, host: &str) -> Vec<IpAddr> {
        let Some(file) = &self.hosts_file else { return Vec::new() };
        match tokio::fs::read_to_string(file).await {
            Ok(text) => addresses_of(host, &text),
            Err(error) => {
                tracing::debug!(file = %file.display(), %error, "cannot read the hosts file");
                Vec::new()
            }
        }
    }
}

impl Resolve for HostsFileThenDns {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move {
            let found = self.in_file(host).await;
            if !found.is_empty() {
                return Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect());
            }
            Ok(tokio::net::lookup_host((host, port)).await?.collect())
        })
    }
}

/// The addresses that lines of a hosts file give to `host`. Lines that make no sense are passed over.
fn addresses_of(host: &str, text: &str) -> Vec<IpAddr> {
    let address_on = |line: &str| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    };
    text.lines().filter_map(address_on).collect()
}

/// Splits `host:port`, where an IPv6 address stands in brackets.
pub(super) fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host = !host.is_empty() && !host.contains(['[', ']', '/', ' ']);
    Some((host, port.parse().ok()?)).filter(|_| is_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_a_hosts_file_whatever_their_case() {
        let text = "# pods\n127.8.0.1 demo-0 demo-0.demo-brokers # first\nnonsense\n127.8.0.2\tdemo-1\n::1 DEMO-1\n";
        assert_eq!(addresses_of("demo-0.demo-brokers", text), ["127.8.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(addresses_of("demo-1", text).len(), 2);
        assert!(addresses_of("first", text).is_empty());
        assert!(addresses_of("127.8.0.2", text).is_empty());
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(host_and_port("a.b:9092"), Some(("a.b", 9092)));
        assert_eq!(host_and_port("[::1]:1"), Some(("::1", 1)));
        for bad in ["a", ":1", "a:", "a:70000", "http://a:1", ""] {
            assert_eq!(host_and_port(bad), None, "{bad}");
        }
    }
}
