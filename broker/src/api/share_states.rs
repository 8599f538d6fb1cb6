//! What the APIs of the state of share groups share: each asks the coordinators about several partitions of several topics.

use futures::future::join_all;
use ottla_core::TopicId;
use ottla_core::share::state::{Error, Request, Response};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use uuid::Uuid;

use super::Context;
use super::error::{of_share_state, of_unavailable};
use crate::share;

/// Why there is no answer of the kind asked for; the text is for people.
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) message: Option<Str>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { code: of_share_state(error), message: Some(error.to_string().into()) }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

/// Asks about every partition at once, with the request that `of` makes of it, and gives what `answer` makes of each
/// response, in the order and shape of the request.
pub(super) async fn each<P, R>(
    context: &Context,
    topics: impl Iterator<Item = (Uuid, Vec<P>)>,
    of: impl Fn(TopicId, P) -> (i32, Result<Request, Error>),
    answer: impl Fn(i32, Result<Response, Refusal>) -> R,
) -> Vec<(Uuid, Vec<R>)> {
    let (of, answer) = (&of, &answer);
    let asked = topics.map(|(topic, partitions)| async move {
        let asked = partitions.into_iter().map(|partition| async move {
            let (index, request) = of(TopicId(topic), partition);
            let response = match request {
                Ok(request) => ask(context, request).await.map_err(Refusal::from),
                Err(error) => Err(error.into()),
            };
            answer(index, response)
        });
        (topic, join_all(asked).await)
    });
    join_all(asked).await
}

async fn ask(context: &Context, request: Request) -> Result<Response, ErrorCode> {
    let image = context.broker.image();
    let partition = share::state_partition(&image, request.key()).ok_or(ErrorCode::NOT_COORDINATOR)?;
    context.broker.share_states.followed(image.index()).await;
    context.broker.share_states.call(partition, request).await.map_err(of_unavailable)
}

/// Code and text of an answer that has nothing else to tell.
pub(super) fn done(response: Result<Response, Refusal>) -> (ErrorCode, Option<Str>) {
    let refusal = match response {
        Ok(Response::Done(Ok(()))) => return (ErrorCode::NONE, None),
        Ok(Response::Done(Err(error))) => error.into(),
        Ok(other) => unexpected(&other),
        Err(refusal) => refusal,
    };
    (refusal.code, refusal.message)
}

/// The coordinator answered another question than was asked: a fault of ours.
pub(super) fn unexpected(response: &Response) -> Refusal {
    tracing::error!(?response, "the share coordinator gave an answer of the wrong kind");
    ErrorCode::UNKNOWN_SERVER_ERROR.into()
}
