//! The way to pods for clients outside: what a kube-proxy and a load balancer do, in this process.
//!
//! A Service of type NodePort is listened for on its node ports at the node's address. One of type LoadBalancer is given an
//! address out of 127.0.0.0/8 besides, and listened for there on its own ports. Each connection is carried to one of the
//! ready pods, in turn.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, warn};

use crate::endpoints::slice_name;
use crate::kubelet::{self, Addresses, HOST_ADDRESS};

const MANAGER: &str = "service-proxy";

/// Why a Service is not reached from outside as it should be. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or was not there.
    #[error("the API server refused")]
    Api(#[from] kube::Error),
    /// A port is taken.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A load balancer found no address.
    #[error(transparent)]
    Address(#[from] kubelet::NoAddress),
}

/// What is open for one Service.
#[derive(Default)]
struct Open {
    fronts: HashMap<SocketAddr, Front>,
    /// The address of its load balancer.
    balancer: Option<Ipv4Addr>,
}

/// One address that is listened on. It ends when this is dropped, with its connections.
struct Front {
    backends: watch::Sender<Vec<SocketAddr>>,
    _end: DropGuard,
}

struct Context {
    client: Client,
    addresses: Addresses,
    open: Mutex<HashMap<String, Open>>,
}

/// Runs it until `shutdown`.
pub async fn run(client: Client, shutdown: CancellationToken) {
    let services: Api<Service> = Api::all(client.clone());
    let slices: Api<EndpointSlice> = Api::all(client.clone());
    let context = Arc::new(Context { client, addresses: Addresses::default(), open: Mutex::default() });
    let known = context.clone();
    Controller::new(services, watcher::Config::default())
        .owns(slices, watcher::Config::default())
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(reconcile, |service, error, _| on_error(&service, error), context)
        .for_each(move |result| {
            if let Err(kube::runtime::controller::Error::ObjectNotFound(service)) = result {
                known.close(&key(&service.namespace.unwrap_or_default(), &service.name));
            }
            std::future::ready(())
        })
        .await;
}

fn on_error(service: &Service, error: &Error) -> Action {
    warn!(service = service.name_any(), error = error as &dyn std::error::Error, "service not opened, trying again");
    Action::requeue(Duration::from_secs(1))
}

fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl Context {
    /// Closes what is open for a Service.
    fn close(&self, service: &str) {
        if let Some(balancer) = self.open.lock().remove(service).and_then(|open| open.balancer) {
            self.addresses.release(balancer);
        }
    }
}

async fn reconcile(service: Arc<Service>, context: Arc<Context>) -> Result<Action, Error> {
    let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
    let spec = service.spec.clone().unwrap_or_default();
    let is_balanced = spec.type_.as_deref() == Some("LoadBalancer");
    let is_outside = is_balanced || spec.type_.as_deref() == Some("NodePort");
    let key = key(&namespace, &name);
    if !is_outside || service.metadata.deletion_timestamp.is_some() {
        context.close(&key);
        return Ok(Action::await_change());
    }
    let slices: Api<EndpointSlice> = Api::namespaced(context.client.clone(), &namespace);
    let slice = slices.get_opt(&slice_name(&service)).await?;
    let ports = spec.ports.unwrap_or_default();
    let mut open = context.open.lock().remove(&key).unwrap_or_default();
    let opened = context.open_all(&mut open, &ports, is_balanced, slice.as_ref()).await;
    let balancer = open.balancer;
    context.open.lock().insert(key, open);
    opened?;
    if told(&service) != balancer {
        let ingress: Vec<_> = balancer.iter().map(|ip| json!({"ip": ip.to_string()})).collect();
        let status = json!({"status": {"loadBalancer": {"ingress": ingress}}});
        let services: Api<Service> = Api::namespaced(context.client.clone(), &namespace);
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        services.patch_status(&name, &parameters, &Patch::Merge(status)).await?;
    }
    Ok(Action::await_change())
}

/// The address of its load balancer that stands in the status of the Service.
fn told(service: &Service) -> Option<Ipv4Addr> {
    let ingress = service.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref()?;
    ingress.iter().find_map(|one| one.ip.as_ref()?.parse().ok())
}

impl Context {
    /// Listens on every address that the Service is to have, and on no other.
    async fn open_all(
        &self,
        open: &mut Open,
        ports: &[ServicePort],
        is_balanced: bool,
        slice: Option<&EndpointSlice>,
    ) -> Result<(), Error> {
        if !is_balanced && let Some(balancer) = open.balancer.take() {
            self.addresses.release(balancer);
        }
        if is_balanced && open.balancer.is_none() {
            let own: Vec<u16> = ports.iter().filter_map(|port| u16::try_from(port.port).ok()).collect();
            open.balancer = Some(self.addresses.allocate(&own)?);
        }
        let mut wanted = HashMap::new();
        for port in ports {
            let at_node = port.node_port.map(|number| (HOST_ADDRESS, number));
            let at_balancer = open.balancer.map(|balancer| (balancer, port.port));
            for (address, number) in at_node.into_iter().chain(at_balancer) {
                let Ok(number) = u16::try_from(number) else { continue };
                wanted.insert(SocketAddr::new(IpAddr::V4(address), number), backends(port, slice));
            }
        }
        open.fronts.retain(|address, _| wanted.contains_key(address));
        for (address, backends) in wanted {
            match open.fronts.get(&address) {
                Some(front) => {
                    front.backends.send_replace(backends);
                }
                None => {
                    open.fronts.insert(address, Front::open(address, backends).await?);
                }
            }
        }
        Ok(())
    }
}

/// Where the ready pods listen for `port`.
fn backends(port: &ServicePort, slice: Option<&EndpointSlice>) -> Vec<SocketAddr> {
    let name = port.name.as_deref().unwrap_or_default();
    let ports = slice.and_then(|slice| slice.ports.as_ref()).into_iter().flatten();
    let number = ports.filter(|port| port.name.as_deref().unwrap_or_default() == name).find_map(|port| port.port);
    let Some(number) = number.and_then(|number| u16::try_from(number).ok()) else { return Vec::new() };
    let endpoints = slice.into_iter().flat_map(|slice| slice.endpoints.iter().flatten());
    let ready = endpoints.filter(|endpoint| endpoint.conditions.as_ref().is_some_and(|is| is.ready == Some(true)));
    let addresses = ready.flat_map(|endpoint| &endpoint.addresses).filter_map(|address| address.parse().ok());
    addresses.map(|address: IpAddr| SocketAddr::new(address, number)).collect()
}

impl Front {
    async fn open(address: SocketAddr, backends: Vec<SocketAddr>) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let (backends, known) = watch::channel(backends);
        let end = CancellationToken::new();
        tokio::spawn(forward(listener, known, end.clone()));
        Ok(Self { backends, _end: end.drop_guard() })
    }
}

/// Carries connections until `end`, and ends those that are left then.
async fn forward(listener: TcpListener, backends: watch::Receiver<Vec<SocketAddr>>, end: CancellationToken) {
    let mut connections = JoinSet::new();
    let mut turn = 0_usize;
    loop {
        let client = tokio::select! {
            () = end.cancelled() => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        // As by a kube-proxy, a client is turned away while no pod is ready.
        let backend = {
            let known = backends.borrow();
            turn = turn.wrapping_add(1);
            known.get(turn % known.len().max(1)).copied()
        };
        if let (Ok((client, _)), Some(backend)) = (client, backend) {
            connections.spawn(async move {
                if let Err(error) = carry(client, backend).await {
                    debug!(%backend, %error, "connection broken");
                }
            });
        }
    }
}

async fn carry(mut client: TcpStream, backend: SocketAddr) -> io::Result<()> {
    let mut pod = TcpStream::connect(backend).await?;
    client.set_nodelay(true)?;
    pod.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut pod).await.map(drop)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Namespace, Pod};
    use kube::api::PostParams;
    use serde::de::DeserializeOwned;
    use serde_json::Value;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::hosts::Hosts;
    use crate::{ApiServer, ApiServerConfig, endpoints};

    /// Sends back what it is sent; gives its address.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    /// Whether whoever answers at `address` sends back what it is sent.
    async fn echoes(address: (&str, u16)) -> bool {
        let Ok(mut stream) = TcpStream::connect(address).await else { return false };
        let mut answer = [0; 4];
        stream.write_all(b"ping").await.is_ok() && stream.read_exact(&mut answer).await.is_ok() && answer == *b"ping"
    }

    async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
        let asked = async {
            loop {
                match ask().await {
                    Some(answer) => return answer,
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap_or_else(|_| panic!("{what} never came"))
    }

    fn object<K: DeserializeOwned>(value: Value) -> K {
        serde_json::from_value(value).unwrap()
    }

    #[tokio::test]
    async fn a_pod_is_reached_by_the_node_and_by_a_load_balancer_as_long_as_its_service_says_so() {
        let server = ApiServer::new(ApiServerConfig::default()).unwrap();
        let client = server.client("default");
        let folder = tempfile::tempdir().unwrap();
        let hosts = Arc::new(Hosts::create(folder.path().join("hosts")).unwrap());
        let shutdown = CancellationToken::new();
        let _guard = shutdown.clone().drop_guard();
        tokio::spawn(endpoints::run(client.clone(), hosts, shutdown.clone()));
        tokio::spawn(run(client.clone(), shutdown.clone()));
        let namespaces: Api<Namespace> = Api::all(client.clone());
        until("the namespace", async || namespaces.get_opt("default").await.unwrap()).await;

        let pod = echo().await;
        let container = json!({"name": "c", "ports": [{"name": "echo", "containerPort": pod.port()}]});
        let labels = json!({"app": "echo"});
        let body = json!({"metadata": {"name": "a", "labels": labels}, "spec": {"containers": [container]}});
        let pods: Api<Pod> = Api::default_namespaced(client.clone());
        pods.create(&PostParams::default(), &object(body)).await.unwrap();
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let status = json!({"status": {"phase": "Running", "podIP": pod.ip().to_string(), "conditions": ready}});
        pods.patch_status("a", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();

        let services: Api<Service> = Api::default_namespaced(client.clone());
        let ports = json!([{"name": "echo", "port": 9094, "targetPort": "echo"}]);
        let spec = json!({"type": "LoadBalancer", "selector": labels, "ports": ports});
        let service = object(json!({"metadata": {"name": "s"}, "spec": spec}));
        let made = services.create(&PostParams::default(), &service).await.unwrap();
        let node_port = made.spec.unwrap().ports.unwrap()[0].node_port.unwrap();
        let node_port = u16::try_from(node_port).unwrap();
        until("the node port", async || echoes(("127.0.0.1", node_port)).await.then_some(())).await;
        let balancer = until("the load balancer", async || told(&services.get("s").await.unwrap())).await.to_string();
        assert!(echoes((&balancer, 9094)).await);

        let spec = json!({"spec": {"type": "NodePort"}});
        services.patch("s", &PatchParams::default(), &Patch::Merge(spec)).await.unwrap();
        until("its end", async || (!echoes((&balancer, 9094)).await).then_some(())).await;
        until("its word", async || told(&services.get("s").await.unwrap()).is_none().then_some(())).await;
        assert!(echoes(("127.0.0.1", node_port)).await, "the node port stayed");
        services.delete("s", &Default::default()).await.unwrap();
        until("the end of the node port", async || (!echoes(("127.0.0.1", node_port)).await).then_some(())).await;
    }
}
