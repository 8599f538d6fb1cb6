//! Brokers that do with each request what a script says.

use super::*;

/// What a broker does with a request.
pub(super) enum Action {
    Answer(Bytes),
    Ignore,
    Close,
}

/// A response to the request with `header`.
pub(super) fn answer<R: Request>(header: &RequestHeader, response: &R::Response) -> Action {
    let header_version = frame::response_header_version(R::KEY, header.api_version);
    let encoded = frame::encode_response(header.correlation_id, header_version, response, header.api_version);
    Action::Answer(encoded.unwrap().bytes)
}

pub(super) fn decode<R: Request>(header: &RequestHeader, reader: &mut Reader) -> R {
    R::decode(reader, header.api_version).unwrap()
}

/// The versions of every API here, but with those of `capped` limited.
pub(super) fn api_versions(capped: &[(ApiKey, i16)]) -> ApiVersionsResponse {
    let served = |&key: &ApiKey| {
        let versions = versions(key)?;
        let cap = capped.iter().find(|(capped, _)| *capped == key).map_or(i16::MAX, |(_, version)| *version);
        let max_version = cap.min(*versions.end());
        Some(ApiVersion { api_key: key.number(), min_version: *versions.start(), max_version })
    };
    ApiVersionsResponse { api_keys: ApiKey::ALL.iter().filter_map(served).collect(), ..Default::default() }
}

pub(super) type Script = Box<dyn Fn(&RequestHeader, &mut Reader) -> Action + Send + Sync>;

/// A broker that follows a script; it answers ApiVersions by itself unless the script does.
pub(super) struct Broker {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
}

/// What became of a broker's connections and requests.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) connections: AtomicUsize,
    pub(super) requests: Mutex<Vec<(ApiKey, i16)>>,
}

impl Seen {
    pub(super) fn count(&self, key: ApiKey) -> usize {
        self.requests.lock().iter().filter(|(seen, _)| *seen == key).count()
    }
}

impl Broker {
    pub(super) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    pub(super) fn endpoint(&self, node_id: i32) -> MetadataResponseBroker {
        let port = i32::from(self.address.port());
        MetadataResponseBroker { node_id, host: "127.0.0.1".into(), port, rack: None }
    }

    pub(super) fn run(
        self,
        script: impl Fn(&RequestHeader, &mut Reader) -> Action + Send + Sync + 'static,
    ) -> Arc<Seen> {
        let seen = Arc::new(Seen::default());
        let script: Arc<Script> = Arc::new(Box::new(script));
        tokio::spawn({
            let seen = seen.clone();
            async move {
                while let Ok((stream, _)) = self.listener.accept().await {
                    seen.connections.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(serve(stream, script.clone(), seen.clone()));
                }
            }
        });
        seen
    }
}

pub(super) async fn next_request(stream: &mut TcpStream) -> Option<(RequestHeader, Reader)> {
    let size = stream.read_i32().await.ok()?;
    let mut frame = vec![0; size as usize];
    stream.read_exact(&mut frame).await.unwrap();
    let mut reader = Reader::new(Bytes::from(frame));
    Some((RequestHeader::read_known(&mut reader).unwrap(), reader))
}

pub(super) async fn serve(mut stream: TcpStream, script: Arc<Script>, seen: Arc<Seen>) {
    while let Some((header, mut reader)) = next_request(&mut stream).await {
        seen.requests.lock().push((header.key().unwrap(), header.api_version));
        match script(&header, &mut reader) {
            Action::Answer(bytes) => stream.write_all(&bytes).await.unwrap(),
            Action::Ignore => {}
            Action::Close => return,
        }
    }
}

/// Metadata of brokers with one topic `t`, whose only partition `leader` leads.
pub(super) fn metadata(brokers: Vec<MetadataResponseBroker>, topic_id: Uuid, leader: i32) -> MetadataResponse {
    let partition = MetadataResponsePartition { leader_id: leader, ..Default::default() };
    let topic =
        MetadataResponseTopic { name: Some("t".into()), topic_id, partitions: vec![partition], ..Default::default() };
    MetadataResponse { brokers, controller_id: 0, topics: vec![topic], ..Default::default() }
}

pub(super) fn config() -> ClientConfig {
    ClientConfig { deadline: Duration::from_secs(20), ..ClientConfig::new("test") }
}

pub(super) async fn connect(address: SocketAddr) -> Client {
    Client::connect([address.to_string()], config()).await.unwrap()
}

pub(super) fn list_offsets_answer(header: &RequestHeader, error_code: ErrorCode, offset: i64) -> Action {
    let partition = ListOffsetsPartitionResponse { error_code, offset, ..Default::default() };
    let topics = vec![ListOffsetsTopicResponse { name: "t".into(), partitions: vec![partition] }];
    answer::<ListOffsetsRequest>(header, &ListOffsetsResponse { topics, ..Default::default() })
}

/// Answers ApiVersions and Metadata with one broker that leads everything; gives the rest to `rest`.
pub(super) fn alone(
    endpoint: MetadataResponseBroker,
    rest: impl Fn(&RequestHeader, &mut Reader) -> Action + Send + Sync + 'static,
) -> impl Fn(&RequestHeader, &mut Reader) -> Action + Send + Sync + 'static {
    move |header, reader| match header.key().unwrap() {
        ApiKey::ApiVersions => answer::<ApiVersionsRequest>(header, &api_versions(&[])),
        ApiKey::Metadata => {
            let id = if header.api_version >= 10 { Uuid::from_u128(7) } else { Uuid::nil() };
            answer::<MetadataRequest>(header, &metadata(vec![endpoint.clone()], id, 0))
        }
        _ => rest(header, reader),
    }
}
