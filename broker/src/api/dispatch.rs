//! From a frame to the handler of its API, and from its answer to a frame.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use ottla_protocol::ApiKey;
use ottla_protocol::codec::{EncodeError, Encoded, Reader};
use ottla_protocol::frame::RequestHeader;

use super::table::Handler;
use super::{Context, api_versions};
use crate::broker::Broker;
use crate::net::{CloseReason, FuturePending, Peer, Response, Service, Step};
use crate::telemetry::RequestMeters;

/// Hands frames to the handlers of a broker's table.
pub struct Dispatcher {
    broker: Arc<Broker>,
    meters: RequestMeters,
}

impl Dispatcher {
    /// Serves the APIs of `broker`.
    pub fn new(broker: Arc<Broker>) -> Self {
        let apis = broker.apis.iter().map(|api| (api.key.number(), api.key.to_string()));
        let meters = broker.replicas.metrics().requests(apis);
        Self { broker, meters }
    }

    fn dispatch(&self, peer: &Arc<Peer>, frame: Bytes) -> Result<Step, CloseReason> {
        let mut reader = Reader::new(frame);
        let (key, version) = peek(&reader);
        let malformed =
            |error: &dyn std::fmt::Display| CloseReason::Malformed { key, version, reason: error.to_string() };
        let Some(api) = self.broker.apis.get(key) else { return Err(CloseReason::Unsupported { key, version }) };
        if !api.served.contains(&version) {
            if api.key != ApiKey::ApiVersions {
                return Err(CloseReason::Unsupported { key, version });
            }
            // The header of a version we do not know: only its fixed beginning can be read.
            let header = RequestHeader::read(&mut reader, |_, _| false).map_err(|e| malformed(&e))?;
            return answer(api_versions::unsupported_version(header.correlation_id, api));
        }
        let header = RequestHeader::read_known(&mut reader).map_err(|e| malformed(&e))?;
        let context = Context {
            broker: Arc::clone(&self.broker),
            peer: Arc::clone(peer),
            version,
            client_id: header.client_id.clone(),
        };
        match &api.handler {
            Handler::Direct(handler) => handler(context, &header, reader).map_err(|e| malformed(&e)),
            Handler::Answering(handler) => {
                let mut pending = handler(context, &header, reader).map_err(|e| malformed(&e))?;
                match (&mut pending).now_or_never() {
                    Some(encoded) => answer(encoded),
                    None => Ok(Step::Wait(FuturePending::boxed(async move {
                        answer(pending.await).unwrap_or_else(Step::Close)
                    }))),
                }
            }
        }
    }
}

impl Service for Dispatcher {
    fn admit(&self, address: IpAddr) -> Result<(), Duration> {
        self.broker.quotas.admit(address)
    }

    fn expects(&self, key: i16, version: i16) -> bool {
        // An unknown version of ApiVersions is answered.
        self.broker.apis.get(key).is_some_and(|api| api.key == ApiKey::ApiVersions || api.served.contains(&version))
    }

    fn call(&self, peer: &Arc<Peer>, frame: Bytes) -> Step {
        self.dispatch(peer, frame).unwrap_or_else(Step::Close)
    }

    fn answered(&self, key: i16, took: Duration) {
        self.meters.answered(key, took);
    }
}

/// API key and version; the network layer lets no frame through that is too short for them.
fn peek(reader: &Reader) -> (i16, i16) {
    let mut reader = reader.clone();
    (reader.i16().unwrap_or(-1), reader.i16().unwrap_or(-1))
}

fn answer(encoded: Result<Encoded, EncodeError>) -> Result<Step, CloseReason> {
    match encoded {
        Ok(encoded) => Ok(Step::Answer(Response::from(encoded.bytes))),
        Err(error) => Err(CloseReason::Unanswerable(error)),
    }
}
