//! Where the leaders are that an answer points to instead of this broker (KIP-951): the client need not ask first.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_core::BrokerId;
use ottla_core::metadata::{Image, Topic};
use ottla_protocol::codec::Str;

/// A leader's address on the listener that the client came by.
pub(super) struct Address {
    pub(super) id: i32,
    pub(super) host: Str,
    pub(super) port: i32,
    pub(super) rack: Option<Str>,
}

/// The addresses of `leaders`, each once; those that are not known, such as −1, are left out.
pub(super) fn addresses(image: &Image, listener: &str, leaders: impl IntoIterator<Item = i32>) -> Vec<Address> {
    let leaders: BTreeSet<i32> = leaders.into_iter().collect();
    let address = |id: i32| {
        let broker = image.broker(BrokerId(id))?;
        let address = image.address(broker.id, listener)?;
        let rack = broker.rack.as_deref().map(Into::into);
        Some(Address { id, host: address.host.into(), port: i32::from(address.port), rack })
    };
    leaders.into_iter().filter_map(address).collect()
}

/// The topic that a request means: by name, or where it has none by id.
pub(super) fn topic<'a>(image: &'a Image, name: &str, id: uuid::Uuid) -> Option<&'a Arc<Topic>> {
    if name.is_empty() { image.topics().by_id(ottla_core::TopicId(id)) } else { image.topic(name) }
}
