//! ListTransactions (KIP-664, KIP-994, KIP-1152): those of the coordinators on this broker.

use std::time::Duration;

use ottla_core::ProducerId;
use ottla_core::txn::{ListFilter, Request, Response, TransactionState};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::list_transactions::{self, ListTransactionsRequest, ListTransactionsResponse};
use regex::Regex;

use super::Context;
use super::error::of_unavailable;

/// Lists the transactional ids that pass the filters.
pub(super) async fn handle(context: Context, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let refused = |error_code| ListTransactionsResponse { error_code, ..ListTransactionsResponse::default() };
    let pattern = match request.transactional_id_pattern.as_deref().filter(|pattern| !pattern.is_empty()) {
        None => None,
        // The whole id has to match.
        Some(pattern) => match Regex::new(&format!("^(?:{pattern})$")) {
            Ok(pattern) => Some(pattern),
            Err(_) => return refused(ErrorCode::INVALID_REGULAR_EXPRESSION),
        },
    };
    let named = |name: &Str| TransactionState::ALL.into_iter().find(|state| state.name() == &**name);
    let (known, unknown): (Vec<_>, Vec<_>) = request.state_filters.into_iter().partition(|name| named(name).is_some());
    let filter = ListFilter {
        states: known.iter().filter_map(named).collect(),
        producers: request.producer_id_filters.iter().map(|id| ProducerId(*id)).collect(),
        open_for: u64::try_from(request.duration_filter).ok().map(Duration::from_millis),
    };
    let mut response =
        ListTransactionsResponse { unknown_state_filters: unknown, ..ListTransactionsResponse::default() };
    if known.is_empty() && !response.unknown_state_filters.is_empty() {
        // None is in a state that there is not.
        return response;
    }
    context.broker.transactions.followed(context.broker.image().index()).await;
    match context.broker.transactions.call_all(|| Request::List(filter.clone())).await {
        Ok(answers) => {
            let listed = answers.into_iter().filter_map(|answer| match answer {
                Response::List(listed) => Some(listed),
                _ => None,
            });
            let matching = listed
                .flatten()
                .filter(|one| pattern.as_ref().is_none_or(|pattern| pattern.is_match(&one.transactional_id)));
            response.transaction_states = matching
                .map(|one| list_transactions::TransactionState {
                    transactional_id: one.transactional_id.into(),
                    producer_id: one.producer.0,
                    transaction_state: Str::from_static(one.state.name()),
                })
                .collect();
            response
        }
        Err(unavailable) => refused(of_unavailable(unavailable)),
    }
}
