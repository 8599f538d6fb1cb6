//! What a connection knows of the broker at its other end: which versions it serves, and so how to speak to it.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use bytes::Bytes;

use super::{ClientConfig, Error};
use crate::codec::{Message, Reader, Request, Str};
use crate::{ApiKey, frame};

/// The versions that a broker serves, by API key.
pub(super) type ServedVersions = HashMap<i16, RangeInclusive<i16>>;

/// The broker.
#[derive(Debug)]
pub(super) struct Peer {
    /// `host:port`.
    pub(super) address: String,
    served: ServedVersions,
    max_versions: Vec<(ApiKey, i16)>,
    client_id: Str,
}

impl Peer {
    pub(super) fn new(address: String, served: ServedVersions, config: &ClientConfig) -> Self {
        Self { address, served, max_versions: config.max_versions.clone(), client_id: config.client_id.clone() }
    }

    /// The highest version of `R`, up to `max_version`, that both ends have.
    pub(super) fn version<R: Request>(&self, max_version: i16) -> Result<i16, Error> {
        let capped = self.max_versions.iter().find(|(key, _)| *key == R::KEY);
        let max_version = max_version.min(capped.map_or(i16::MAX, |(_, version)| *version));
        let served = self.served.get(&R::KEY.number());
        let highest = served.map(|served| max_version.min(*served.end()).min(*R::VERSIONS.end()));
        let usable =
            |version: &i16| R::VERSIONS.contains(version) && served.is_some_and(|served| served.contains(version));
        highest.filter(usable).ok_or_else(|| Error::UnsupportedApi { address: self.address.clone(), api: R::KEY })
    }

    /// The frame of a request.
    pub(super) fn encode<R: Request>(&self, request: &R, version: i16, correlation_id: i32) -> Result<Bytes, Error> {
        let encoded = frame::encode_request(request, version, correlation_id, Some(&self.client_id))?;
        if encoded.cuts.is_empty() { Ok(encoded.bytes) } else { Err(Error::ExternalRecords) }
    }

    /// Reads the frame of an answer.
    pub(super) fn decode<R: Request>(&self, answer: Bytes, version: i16) -> Result<R::Response, Error> {
        let mut reader = Reader::new(answer);
        let decoded = frame::read_response_header(&mut reader, frame::response_header_version(R::KEY, version))
            .and_then(|_| R::Response::decode(&mut reader, version));
        decoded.map_err(|source| Error::Decode { address: self.address.clone(), api: R::KEY, source })
    }

    pub(super) fn disconnected(&self, reason: String) -> Error {
        Error::Disconnected { address: self.address.clone(), reason }
    }
}
