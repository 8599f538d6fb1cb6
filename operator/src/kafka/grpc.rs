//! The client of the brokers' cluster-control service: asks one broker after another until one answers.
//!
//! Any broker hands on what only the active controller may answer, so an answer of "unavailable" means that there is no
//! controller at this moment, or that the broker is on its way down: the next one is asked, and all of them again.

use std::time::Duration;

use ottla_control::{
    self as proto, AddVoterRequest, AdvertiseRequest, CheckRestartRequest, CordonRequest, GetPartitionHealthRequest,
    ListBrokersRequest, ListPlacementsRequest, ListVotersRequest, RemoveVoterRequest, RetireDiskRequest,
    UncordonRequest, cluster_control_client::ClusterControlClient,
};
use tokio::time::{Instant, sleep, timeout};
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use super::*;
use ottla_core::ids::BrokerEpoch;

/// How long one call may take, all brokers and retries included.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long one broker may take over an answer.
const ANSWER: Duration = Duration::from_secs(4);
/// How long a dial may take.
const DIAL: Duration = Duration::from_secs(2);
/// The pause after all brokers were asked in vain.
const PAUSE: Duration = Duration::from_millis(100);
/// An answer may name each of very many brokers and partitions.
const ANSWER_BYTES: usize = 64 << 20;

type Client = ClusterControlClient<InterceptedService<Channel, Credentials>>;

/// A client of one cluster.
pub(super) struct Grpc {
    clients: Vec<Client>,
}

/// Adds the token to each call.
#[derive(Clone)]
struct Credentials(Option<MetadataValue<Ascii>>);

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Grpc {
    /// A client that dials when it is first asked.
    pub(super) fn new(control: &Control) -> Self {
        // A token that no header can carry is refused by every broker, as a wrong one is.
        let token = MetadataValue::try_from(control.token.header()).ok().map(|mut token| {
            token.set_sensitive(true);
            token
        });
        let client = |address: &String| {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?.connect_timeout(DIAL);
            let channel = InterceptedService::new(endpoint.connect_lazy(), Credentials(token.clone()));
            Some(ClusterControlClient::new(channel).max_decoding_message_size(ANSWER_BYTES))
        };
        Self { clients: control.addresses.iter().filter_map(client).collect() }
    }

    /// The first answer to `call` of any broker.
    async fn ask<T, F>(&self, call: impl Fn(Client) -> F) -> Result<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + DEADLINE;
        let mut last = Error::Unreachable("no address of a CONTROLLER listener is known".to_owned());
        while !self.clients.is_empty() {
            for client in &self.clients {
                let answer = timeout(ANSWER, call(client.clone())).await;
                match answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time"))) {
                    Ok(answer) => return Ok(answer.into_inner()),
                    Err(status) => last = error(&status),
                }
                if matches!(last, Error::Refused { .. }) || Instant::now() > deadline {
                    return Err(last);
                }
            }
            sleep(PAUSE).await;
        }
        Err(last)
    }

    pub(super) async fn brokers(&self) -> Result<Vec<BrokerView>> {
        let answer = self.ask(|mut client| async move { client.list_brokers(ListBrokersRequest {}).await }).await?;
        let controller = answer.controller_id;
        Ok(answer.brokers.into_iter().map(|broker| broker_view(broker, controller)).collect())
    }

    pub(super) async fn partition_health(&self) -> Result<PartitionHealth> {
        let answer = self
            .ask(|mut client| async move { client.get_partition_health(GetPartitionHealthRequest {}).await })
            .await?;
        Ok(PartitionHealth {
            total: answer.total,
            under_replicated: answer.under_replicated,
            under_min_isr: answer.under_min_isr,
            offline: answer.offline,
            moving: answer.moving,
            bytes_left: answer.bytes_left,
        })
    }

    pub(super) async fn check_restart(&self, broker: BrokerId) -> Result<RestartVerdict> {
        let request = CheckRestartRequest { broker_id: broker.0 };
        let answer = self.ask(|mut client| async move { client.check_restart(request).await }).await?;
        let loses_quorum = answer.quorum() == proto::QuorumEffect::Lost;
        let holds_quorum = answer.quorum() == proto::QuorumEffect::UnavoidablyLost;
        let harmed = answer.harmed.into_iter().map(|harmed| HarmedPartition {
            goes_offline: harmed.harm() != proto::Harm::UnderMinIsr,
            topic: harmed.topic,
            partition: harmed.partition,
        });
        Ok(RestartVerdict {
            allowed: answer.allowed,
            harmed: harmed.collect(),
            loses_quorum,
            holds_quorum,
            unavoidable: answer.unavoidable_count,
            catching_up: answer.catching_up_count,
        })
    }

    pub(super) async fn cordon(&self, broker: BrokerId, cordoned: bool) -> Result<()> {
        let broker_id = broker.0;
        let done = if cordoned {
            self.ask(|mut client| async move { client.cordon(CordonRequest { broker_id }).await }).await.map(drop)
        } else {
            self.ask(|mut client| async move { client.uncordon(UncordonRequest { broker_id }).await }).await.map(drop)
        };
        done.map_err(outdated)
    }

    pub(super) async fn advertise(&self, broker: BrokerId, listeners: &str) -> Result<()> {
        let request = AdvertiseRequest { broker_id: broker.0, listeners: listeners.to_owned() };
        let ask = |mut client: Client| {
            let request = request.clone();
            async move { client.advertise(request).await }
        };
        self.ask(ask).await.map(drop).map_err(outdated)
    }

    /// Page by page; between two of them the cluster may change, as it may after the last.
    pub(super) async fn placements(&self) -> Result<Vec<TopicPlacement>> {
        let mut topics = Vec::new();
        let mut request = ListPlacementsRequest::default();
        loop {
            let ask = |mut client: Client| {
                let request = request.clone();
                async move { client.list_placements(request).await }
            };
            let page = self.ask(ask).await?;
            topics.extend(page.topics.into_iter().map(topic_placement));
            match topics.last().filter(|_| page.has_more) {
                Some(TopicPlacement { topic, .. }) => request.after_topic = topic.clone(),
                None => return Ok(topics),
            }
        }
    }

    pub(super) async fn quorum(&self) -> Result<QuorumView> {
        let answer = self.ask(|mut client| async move { client.list_voters(ListVotersRequest {}).await }).await?;
        let views = |nodes: Vec<proto::QuorumNode>| {
            let view =
                |node: proto::QuorumNode| VoterView { broker: BrokerId(node.broker_id), directory: node.directory_id };
            nodes.into_iter().map(view).collect()
        };
        Ok(QuorumView { voters: views(answer.voters), observers: views(answer.observers) })
    }

    pub(super) async fn add_voter(&self, broker: BrokerId) -> Result<()> {
        let request = AddVoterRequest { broker_id: broker.0, directory_id: String::new() };
        let ask = |mut client: Client| {
            let request = request.clone();
            async move { client.add_voter(request).await }
        };
        self.ask(ask).await.map(drop).map_err(outdated)
    }

    pub(super) async fn remove_voter(&self, broker: BrokerId, directory: &str) -> Result<()> {
        let request = RemoveVoterRequest { broker_id: broker.0, directory_id: directory.to_owned() };
        let ask = |mut client: Client| {
            let request = request.clone();
            async move { client.remove_voter(request).await }
        };
        unless_gone(self.ask(ask).await.map(drop))
    }

    pub(super) async fn retire_disk(&self, broker: BrokerId, directory: &str) -> Result<()> {
        let request = RetireDiskRequest { broker_id: broker.0, directory_id: directory.to_owned() };
        let ask = |mut client: Client| {
            let request = request.clone();
            async move { client.retire_disk(request).await }
        };
        self.ask(ask).await.map(drop)
    }
}

fn topic_placement(topic: proto::TopicPlacement) -> TopicPlacement {
    let ids = |ids: Vec<i32>| ids.into_iter().map(BrokerId).collect();
    let partition = |partition: proto::PartitionPlacement| PartitionPlacement {
        index: partition.partition,
        target: ids(partition.replicas),
        adding: ids(partition.adding),
        removing: ids(partition.removing),
        in_sync: ids(partition.in_sync),
        leader: (partition.leader >= 0).then_some(BrokerId(partition.leader)),
        bytes: partition.bytes,
    };
    TopicPlacement {
        min_in_sync: usize::try_from(topic.min_in_sync).unwrap_or(usize::MAX),
        topic: topic.topic,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    }
}

fn broker_view(broker: proto::Broker, controller: i32) -> BrokerView {
    BrokerView {
        id: BrokerId(broker.id),
        epoch: BrokerEpoch(broker.epoch),
        rack: broker.rack,
        fenced: broker.fenced,
        cordoned: broker.cordoned,
        is_controller: broker.id == controller,
        leaders: broker.leaders,
        replicas: broker.replicas,
        advertised: broker.advertised,
        directories: broker.directories.into_iter().map(directory_view).collect(),
    }
}

fn directory_view(directory: proto::LogDirectory) -> DirectoryView {
    let has_failed = directory.state() == proto::LogDirectoryState::Failed;
    DirectoryView {
        id: directory.id,
        failure: has_failed.then_some(directory.failure),
        space: directory.total_bytes.zip(directory.free_bytes),
    }
}

/// What a status means for the pass: whether to try again can help.
fn error(status: &Status) -> Error {
    let message = status.message().to_owned();
    match status.code() {
        // What is asked for first comes about by itself: another change of the quorum ends, a voter catches up.
        Code::FailedPrecondition => Error::Unreachable(message),
        Code::NotFound
        | Code::InvalidArgument
        | Code::Unauthenticated
        | Code::PermissionDenied
        | Code::Unimplemented => {
            let message = Some(message).filter(|text| !text.is_empty());
            Error::Refused { code: code_name(status.code()), message }
        }
        _ => Error::Unreachable(message),
    }
}

fn code_name(code: Code) -> String {
    format!("{code:?}")
}

fn is_of_nobody(error: &Error) -> bool {
    matches!(error, Error::Refused { code, .. } if *code == code_name(Code::NotFound))
}

/// What is asked of a broker that has left by now, or is not there yet, was planned for another world: the next plan is
/// made for the present one.
fn outdated(error: Error) -> Error {
    if is_of_nobody(&error) { Error::Unreachable(error.to_string()) } else { error }
}

/// Who is no member has no vote.
fn unless_gone(done: Result<()>) -> Result<()> {
    match done {
        Err(error) if is_of_nobody(&error) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_a_broker_that_is_gone_is_planned_anew_or_done_already() {
        let gone = || error(&Status::not_found("broker 4 is no member of the metadata quorum"));
        let wrong = || error(&Status::invalid_argument("no"));
        assert!(matches!(outdated(gone()), Error::Unreachable(message) if message.contains("broker 4 is no member")));
        assert_eq!(unless_gone(Err(gone())), Ok(()));
        assert_eq!(outdated(wrong()), wrong());
        assert_eq!(unless_gone(Err(wrong())), Err(wrong()));
        assert!(matches!(wrong(), Error::Refused { code, .. } if code == "InvalidArgument"));
    }
}
