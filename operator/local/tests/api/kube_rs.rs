//! kube-rs as a client: typed API, watcher, controller, server-side apply, events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncBufReadExt, FutureExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use kube::api::{Api, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event as NewEvent, EventType, Recorder};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Client, Resource, ResourceExt};
use ottla_local::{ApiServer, ApiServerConfig, LogError, LogRequest, LogSource, LogStream};
use serde_json::json;
use tokio_util::sync::CancellationToken;

fn server() -> ApiServer {
    ApiServer::new(ApiServerConfig::default()).unwrap()
}

fn map(name: &str, value: &str) -> ConfigMap {
    let data = BTreeMap::from([("k".to_owned(), value.to_owned())]);
    ConfigMap { data: Some(data), ..serde_json::from_value(json!({"metadata": {"name": name}})).unwrap() }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("not in time")
}

#[tokio::test]
async fn typed_objects_make_the_round_trip() {
    let api: Api<ConfigMap> = Api::default_namespaced(server().client("default"));
    api.create(&PostParams::default(), &map("a", "1")).await.unwrap();
    let mut read = api.get("a").await.unwrap();
    read.data.as_mut().unwrap().insert("k".to_owned(), "2".to_owned());
    api.replace("a", &PostParams::default(), &read).await.unwrap();
    let error = api.replace("a", &PostParams::default(), &read).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.is_conflict()), "{error}");
    let list = api.list(&ListParams::default()).await.unwrap();
    assert_eq!(list.items[0].data.as_ref().unwrap()["k"], "2");
    let meta = api.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(meta.items[0].name_any(), "a");
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn watchers_see_changes_by_list_and_by_stream() {
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let api: Api<ConfigMap> = Api::default_namespaced(server().client("default"));
        api.create(&PostParams::default(), &map("a", "1")).await.unwrap();
        let mut seen = watcher(api.clone(), config).applied_objects().boxed();
        assert_eq!(in_time(seen.try_next()).await.unwrap().unwrap().name_any(), "a");
        api.create(&PostParams::default(), &map("b", "1")).await.unwrap();
        assert_eq!(in_time(seen.try_next()).await.unwrap().unwrap().name_any(), "b");
    }
}

#[tokio::test]
async fn a_controller_reconciles_what_it_owns() {
    let client = server().client("default");
    let owners: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let reconcile = |owner: Arc<ConfigMap>, client: Arc<Client>| async move {
        let pods: Api<Pod> = Api::default_namespaced((*client).clone());
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": owner.name_any(), "ownerReferences": [owner.controller_owner_ref(&()).unwrap()]},
            "spec": {"containers": [{"name": "c", "image": owner.data.as_ref().unwrap()["k"]}]},
        });
        let params = PatchParams::apply("controller").force();
        pods.patch(&owner.name_any(), &params, &Patch::Apply(&pod)).await?;
        Ok::<_, kube::Error>(Action::await_change())
    };
    let stop = CancellationToken::new();
    let running = Controller::new(owners.clone(), watcher::Config::default())
        .owns(pods.clone(), watcher::Config::default())
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(10)), Arc::new(client))
        .for_each(|_| std::future::ready(()));
    let running = tokio::spawn(running);
    owners.create(&PostParams::default(), &map("a", "image:1")).await.unwrap();
    let wait = |image: &'static str| {
        let pods = pods.clone();
        in_time(async move {
            loop {
                let pod = pods.get_opt("a").await.unwrap();
                if let Some(pod) =
                    pod.filter(|pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some(image))
                {
                    return pod.uid();
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let first = wait("image:1").await;
    pods.delete("a", &DeleteParams::default()).await.unwrap();
    assert_ne!(wait("image:1").await, first);
    owners.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": "image:2"}}))).await.unwrap();
    wait("image:2").await;
    stop.cancel();
    in_time(running).await.unwrap();
}

#[tokio::test]
async fn recorded_events_are_read_under_the_core_group() {
    let client = server().client("default");
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let about = maps.create(&PostParams::default(), &map("a", "1")).await.unwrap();
    let recorder = Recorder::new(client.clone(), "tester".into());
    let event = NewEvent {
        type_: EventType::Normal,
        reason: "Tested".into(),
        note: Some("it works".into()),
        action: "Testing".into(),
        secondary: None,
    };
    recorder.publish(&event, &about.object_ref(&())).await.unwrap();
    recorder.publish(&event, &about.object_ref(&())).await.unwrap();
    let events: Api<Event> = Api::default_namespaced(client);
    let fields = format!("involvedObject.uid={}", about.uid().unwrap());
    let found = events.list(&ListParams::default().fields(&fields)).await.unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.items[0].message.as_deref(), Some("it works"));
    assert_eq!(found.items[0].series.as_ref().and_then(|s| s.count), Some(2));
}

struct Lines;

impl LogSource for Lines {
    fn open(&self, request: LogRequest) -> futures::future::BoxFuture<'static, Result<LogStream, LogError>> {
        async move {
            let text = format!("{} {} {:?}\n", request.pod, request.container, request.tail_lines);
            let lines = [Ok(Bytes::from(text)), Ok(Bytes::from_static(b"second\n"))];
            Ok(futures::stream::iter(lines).boxed())
        }
        .boxed()
    }
}

#[tokio::test]
async fn logs_come_from_the_log_source() {
    let server = server();
    let pods: Api<Pod> = Api::default_namespaced(server.client("default"));
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let error = pods.logs("p", &LogParams::default()).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 503), "{error}");
    server.set_log_source(Arc::new(Lines));
    let params = LogParams { tail_lines: Some(2), follow: true, ..LogParams::default() };
    let lines: Vec<_> = pods.log_stream("p", &params).await.unwrap().lines().try_collect().await.unwrap();
    assert_eq!(lines, ["p c Some(2)", "second"]);
    let wrong = LogParams { container: Some("x".to_owned()), ..LogParams::default() };
    let error = pods.logs("p", &wrong).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 400), "{error}");
}

#[tokio::test]
async fn a_listener_serves_and_stops_with_open_watches() {
    let server = server();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = kube::Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let (server, stop) = (server.clone(), stop.clone());
        async move { server.serve(listener, stop).await }
    });
    let api: Api<ConfigMap> = Api::namespaced(Client::try_from(config).unwrap(), "default");
    let mut seen = watcher(api.clone(), watcher::Config::default()).applied_objects().boxed();
    api.create(&PostParams::default(), &map("a", "1")).await.unwrap();
    assert_eq!(in_time(seen.try_next()).await.unwrap().unwrap().name_any(), "a");
    stop.cancel();
    in_time(serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn state_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = ApiServerConfig { data_dir: Some(dir.path().to_owned()) };
    let server = ApiServer::new(config.clone()).unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client("default"));
    let created = api.create(&PostParams::default(), &map("a", "1")).await.unwrap();
    drop((api, server));
    let server = in_time(async {
        loop {
            // The client's own task lets go of the server a moment later.
            match ApiServer::new(config.clone()) {
                Ok(server) => return server,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    let api: Api<ConfigMap> = Api::default_namespaced(server.client("default"));
    assert_eq!(api.get("a").await.unwrap(), created);
    assert_eq!(created.meta().namespace.as_deref(), Some("default"));
}
