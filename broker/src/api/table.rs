//! What the table of APIs is made of.

use std::ops::RangeInclusive;
use std::pin::Pin;

use ottla_protocol::codec::{DecodeError, EncodeError, Encoded, Message, Reader, Request};
use ottla_protocol::frame::{RequestHeader, encode_response, response_header_version};
use ottla_protocol::{ApiKey, messages};

use super::Context;
use super::stopwatch::Stopwatch;
use crate::broker::Broker;
use crate::net::Step;

type Answer = Pin<Box<dyn Future<Output = Result<Encoded, EncodeError>> + Send>>;
type Answering = Box<dyn Fn(Context, &RequestHeader, Reader) -> Result<Answer, DecodeError> + Send + Sync>;
type Direct = fn(Context, &RequestHeader, Reader) -> Result<Step, DecodeError>;

pub(super) enum Handler {
    Answering(Answering),
    Direct(Direct),
}

/// One API as it is served.
pub struct Api {
    /// Which one.
    pub key: ApiKey,
    /// The versions that are answered.
    pub served: RangeInclusive<i16>,
    /// The versions that clients are told; may begin lower than what is served.
    pub advertised: RangeInclusive<i16>,
    /// Whether clients of this broker are told of it at all.
    pub is_advertised: fn(&Broker) -> bool,
    pub(super) handler: Handler,
}

impl Api {
    /// An API whose handler takes the decoded request and returns the response. The time that it takes counts (KIP-124).
    pub fn answering<R, F, A>(versions: RangeInclusive<i16>, handler: F) -> Self
    where
        R: Request,
        F: Fn(Context, R) -> A + Send + Sync + 'static,
        A: Future<Output = R::Response> + Send + 'static,
    {
        Self::timed(versions, Stopwatch::of, handler)
    }

    /// The same for what brokers ask of each other: no quota holds that back.
    pub fn between_brokers<R, F, A>(versions: RangeInclusive<i16>, handler: F) -> Self
    where
        R: Request,
        F: Fn(Context, R) -> A + Send + Sync + 'static,
        A: Future<Output = R::Response> + Send + 'static,
    {
        Self::timed(versions, Stopwatch::off, handler)
    }

    fn timed<R, F, A>(versions: RangeInclusive<i16>, stopwatch: fn(&Context) -> Stopwatch, handler: F) -> Self
    where
        R: Request,
        F: Fn(Context, R) -> A + Send + Sync + 'static,
        A: Future<Output = R::Response> + Send + 'static,
    {
        let call = move |context: Context, header: &RequestHeader, mut reader: Reader| -> Result<Answer, DecodeError> {
            let (version, correlation_id) = (header.api_version, header.correlation_id);
            let mut stopwatch = stopwatch(&context);
            let request = stopwatch.time(|| R::decode(&mut reader, version))?;
            if !stopwatch.is_on() {
                let answer = handler(context, request);
                return Ok(Box::pin(async move { encode(R::KEY, version, correlation_id, &answer.await) }));
            }
            let answer = handler(context.clone(), request);
            Ok(Box::pin(
                async move { encode(R::KEY, version, correlation_id, &stopwatch.answer(&context, answer).await) },
            ))
        };
        Self::new(R::KEY, versions, Handler::Answering(Box::new(call)))
    }

    /// An API whose handler reads the request itself and says what becomes of it.
    pub(super) fn direct(key: ApiKey, versions: RangeInclusive<i16>, handler: Direct) -> Self {
        Self::new(key, versions, Handler::Direct(handler))
    }

    fn new(key: ApiKey, versions: RangeInclusive<i16>, handler: Handler) -> Self {
        Self { key, served: versions.clone(), advertised: versions, is_advertised: |_| true, handler }
    }

    /// Tells clients of it only on a broker of which `is_advertised` holds; it is answered on all.
    #[must_use]
    pub fn advertised_if(mut self, is_advertised: fn(&Broker) -> bool) -> Self {
        self.is_advertised = is_advertised;
        self
    }

    /// Tells clients a lower first version than is served.
    #[must_use]
    pub fn advertised_from(mut self, first: i16) -> Self {
        self.advertised = first..=*self.advertised.end();
        self
    }
}

/// Encodes a response frame.
pub(super) fn encode<M: Message>(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &M,
) -> Result<Encoded, EncodeError> {
    encode_response(correlation_id, response_header_version(key, version), response, version)
}

/// All APIs that are served, by key.
pub struct Table(Vec<Option<Api>>);

impl Table {
    /// A table of `apis`; of two with the same key the later counts.
    pub fn new(apis: impl IntoIterator<Item = Api>) -> Self {
        let mut table = Vec::new();
        for api in apis {
            let index = api.key.number() as usize;
            if table.len() <= index {
                table.resize_with(index + 1, || None);
            }
            debug_assert!(messages::versions(api.key).is_some_and(|v| v.contains(api.served.end())));
            table[index] = Some(api);
        }
        Self(table)
    }

    /// The API with the number `key`, if it is served.
    pub fn get(&self, key: i16) -> Option<&Api> {
        usize::try_from(key).ok().and_then(|index| self.0.get(index)?.as_ref())
    }

    /// All APIs in ascending order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Api> {
        self.0.iter().flatten()
    }
}
