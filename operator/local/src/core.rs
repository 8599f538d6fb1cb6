//! What every handler works on: the store, the registry, and the switches of the running server.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use crate::errors::ApiError;
use crate::logs::LogSource;
use crate::openapi::OpenApi;
use crate::resources::{Registry, Resource};
use crate::store::{self, Store};

pub(crate) struct Core {
    pub store: Store,
    pub registry: Registry,
    pub openapi: OpenApi,
    pub logs: RwLock<Option<Arc<dyn LogSource>>>,
    /// Cancelled when the server goes: ends watches and background work.
    pub closing: CancellationToken,
}

impl Core {
    /// A store error as the answer to a request about `name`.
    pub fn refused(&self, error: store::Error, resource: &Resource, name: &str) -> ApiError {
        match error {
            store::Error::Exists => ApiError::already_exists(resource.subject(name)),
            store::Error::Absent => ApiError::not_found(resource.subject(name)),
            store::Error::Changed => ApiError::modified(resource.subject(name)),
            store::Error::Journal(error) => {
                tracing::error!(%error, "write not journalled");
                ApiError::internal(error.to_string())
            }
        }
    }
}
