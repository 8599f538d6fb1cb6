//! What becomes of one object, state by state: nothing is missed that only passes by.

use std::{fmt::Debug, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::support::PATIENCE;

/// An object as it is, and all that it becomes from then on, looked at in order.
pub struct Watching<K> {
    name: String,
    now: Option<K>,
    changes: BoxStream<'static, kube::Result<WatchEvent<K>>>,
}

impl<K> Watching<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + 'static,
{
    /// Begins with the object as it is now, or with none.
    pub async fn begin(api: Api<K>, name: &str) -> Self {
        let listed = api.list(&ListParams::default()).await.unwrap();
        let version = listed.metadata.resource_version.expect("lists have a version");
        let changes = api.watch(&WatchParams::default(), &version).await.unwrap().boxed();
        let now = listed.items.into_iter().find(|object| object.name_any() == name);
        Self { name: name.to_owned(), now, changes }
    }

    /// The next state of which `condition` holds, the present one included; fails with the last one after a while.
    pub async fn until(&mut self, condition: impl Fn(&K) -> bool) -> K {
        self.wait(|object| object.is_some_and(&condition)).await;
        self.now.clone().expect("the condition held of it")
    }

    /// Waits until there is no such object.
    pub async fn gone(&mut self) {
        self.wait(|object| object.is_none()).await;
    }

    async fn wait(&mut self, holds: impl Fn(Option<&K>) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self.now.as_ref()) {
            assert!(Instant::now() < deadline, "{} never came: {:#?}", self.name, self.now);
            // What the condition looks at besides may change without the object.
            if let Ok(change) = timeout(Duration::from_millis(10), self.changes.next()).await {
                self.take(change.expect("a watch outlasts a test").unwrap());
            }
        }
    }

    fn take(&mut self, change: WatchEvent<K>) {
        match change {
            WatchEvent::Added(object) | WatchEvent::Modified(object) if object.name_any() == self.name => {
                self.now = Some(object);
            }
            WatchEvent::Deleted(object) if object.name_any() == self.name => self.now = None,
            WatchEvent::Error(error) => panic!("{error:?}"),
            _ => {}
        }
    }
}
