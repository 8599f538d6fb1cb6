//! Fetch (KIP-74, KIP-227, KIP-320, KIP-516): reads for consumers, by long poll where there is too little.
//!
//! Direct: records never become part of a message. A fetch that waits is completed by the append or the flush that
//! moves the watermark; only its deadline needs a timer.

mod answer;
mod followed;
mod parked;
mod plan;
mod session;

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::{DecodeError, Message as _, Reader};
use ottla_protocol::frame::RequestHeader;
use ottla_protocol::messages::fetch::FetchRequest;

use super::Context;
use crate::net::Step;

pub use session::FetchSessions;

use self::answer::Exchange;
use self::plan::Plan;

/// Handles one request.
pub(super) fn handle(context: Context, header: &RequestHeader, mut reader: Reader) -> Result<Step, DecodeError> {
    let request = FetchRequest::decode(&mut reader, header.api_version)?;
    let exchange = Exchange {
        version: header.api_version,
        correlation_id: header.correlation_id,
        read_committed: request.isolation_level == 1,
        is_replica: session::replica_of(&request).is_some(),
    };
    if !(0..=1).contains(&request.isolation_level) {
        return Ok(exchange.refuse_everything(&request, ErrorCode::UNKNOWN_SERVER_ERROR));
    }
    let known = |id| context.broker.image().broker(id).map(|broker| broker.epoch);
    let session = match context.broker.fetch_sessions.open(&request, header.api_version, known) {
        Ok(session) => session,
        Err(code) => return Ok(exchange.refuse(code)),
    };
    let mut plan = Plan::new(&context, &request, session);
    let results = plan.read();
    if plan.is_due(&results) {
        return Ok(exchange.answer(plan, results));
    }
    Ok(match plan.session.watch.clone() {
        Some(watch) => followed::wait(exchange, plan, results, watch),
        None => parked::park(exchange, plan, results),
    })
}
