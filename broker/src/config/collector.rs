//! `ottla.client.metrics.collector`: where metrics of clients are sent to.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

use super::Error;

const KEY: &str = "ottla.client.metrics.collector";
/// Where OTLP's collectors take metrics.
const DEFAULT_PATH: &str = "/v1/metrics";

/// The address that `value` is; without a path it is OTLP's own.
pub(super) fn read(value: String) -> Result<Uri, Error> {
    let parsed = value.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
    let mut parts = parsed
        .ok_or_else(|| Error::invalid(KEY, &value, "it is not http://host:port or http://host:port/path"))?
        .into_parts();
    if parts.path_and_query.as_ref().is_none_or(|path| path == "/") {
        parts.path_and_query = Some(PathAndQuery::from_static(DEFAULT_PATH));
    }
    Uri::from_parts(parts).map_err(|error| Error::invalid(KEY, &value, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_gets_that_of_otlp() {
        for (value, address) in [
            ("http://collector:4318", "http://collector:4318/v1/metrics"),
            ("http://[::1]:4318/", "http://[::1]:4318/v1/metrics"),
            ("http://collector/metrics?of=clients", "http://collector/metrics?of=clients"),
        ] {
            assert_eq!(read(value.to_owned()).unwrap().to_string(), address);
        }
    }

    #[test]
    fn what_cannot_be_sent_to_is_refused() {
        for bad in ["collector:4318", "https://collector:4318", "http://", "/v1/metrics", "http://a b"] {
            assert!(read(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
