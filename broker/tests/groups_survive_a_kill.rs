//! A broker process that is killed with members at work: its groups and offsets are those of before.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::client::{Client, ClientConfig};
use ottla_protocol::messages::heartbeat::HeartbeatRequest;
use ottla_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

/// A broker process; killed when dropped.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    /// Starts a broker on a free port over `data`; returns when it listens.
    fn start(data: &Path) -> Self {
        let data = format!("log.dirs={}", data.display());
        let properties = [
            "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0",
            "ottla.http.listener=",
            "offsets.topic.num.partitions=3",
            &data,
        ];
        let mut command = Command::new(env!("CARGO_BIN_EXE_ottla-broker"));
        command.env("NO_COLOR", "1").env_remove("OTTLA_LOG").stderr(Stdio::piped());
        for property in properties {
            command.args(["--override", property]);
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let listening = lines.by_ref().find(|line| line.contains("listening listener=PLAINTEXT"));
        let address = listening.as_deref().and_then(|line| line.split("address=").nth(1)).map(str::trim);
        let address = address.expect("the broker listens").to_owned();
        // The pipe is emptied to the end, lest the broker wait for room in it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    async fn client(&self) -> Client {
        Client::connect([self.address.clone()], ClientConfig::new("test")).await.unwrap()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Joins `group` as its only member.
async fn join(client: &Client, group: &str) -> JoinGroupResponse {
    let metadata = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff");
    let mut request = JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata }],
        ..JoinGroupRequest::default()
    };
    let told = client.send_to_coordinator(group, &request).await.unwrap();
    assert_eq!(told.error_code, ErrorCode::MEMBER_ID_REQUIRED);
    request.member_id = told.member_id;
    let joined = client.send_to_coordinator(group, &request).await.unwrap();
    assert_eq!(joined.error_code, ErrorCode::NONE);
    joined
}

fn sync(group: &str, joined: &JoinGroupResponse, assignment: &'static [u8]) -> SyncGroupRequest {
    let assignment = Bytes::from_static(assignment);
    let assignments = vec![SyncGroupRequestAssignment { member_id: joined.member_id.clone(), assignment }];
    SyncGroupRequest {
        group_id: group.into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments,
        ..SyncGroupRequest::default()
    }
}

async fn commit(client: &Client, group: &str, joined: &JoinGroupResponse, offset: i64) {
    let partition = OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    let topic = client.topic("t").await.unwrap();
    let topic = OffsetCommitRequestTopic { name: "t".into(), topic_id: topic.id, partitions: vec![partition] };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: joined.generation_id,
        member_id: joined.member_id.clone(),
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    let response = client.send_to_coordinator(group, &request).await.unwrap();
    assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::NONE);
}

async fn committed(client: &Client, group: &str) -> i64 {
    let topic = client.topic("t").await.unwrap();
    let topic = OffsetFetchRequestTopics { name: "t".into(), topic_id: topic.id, partition_indexes: vec![0] };
    let group_asked =
        OffsetFetchRequestGroup { group_id: group.into(), topics: Some(vec![topic]), ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group_asked], require_stable: true, ..Default::default() };
    let response = client.send_to_coordinator(group, &request).await.unwrap();
    response.groups[0].topics[0].partitions[0].committed_offset
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_go_on_and_no_committed_offset_is_lost() {
    let data = tempfile::tempdir().unwrap();
    let groups = ["a", "b", "c", "d"];
    let broker = Process::start(data.path());
    let client = broker.client().await;
    client.create_topic("t", 1, 1, &[]).await.unwrap();
    let mut members = Vec::new();
    for (group, offset) in groups.into_iter().zip(100..) {
        let joined = join(&client, group).await;
        let synced = client.send_to_coordinator(group, &sync(group, &joined, b"mine")).await.unwrap();
        assert_eq!(synced.error_code, ErrorCode::NONE);
        commit(&client, group, &joined, 1).await;
        commit(&client, group, &joined, offset).await;
        members.push(joined);
    }
    broker.kill();

    let broker = Process::start(data.path());
    let client = broker.client().await.with_deadline(Duration::from_secs(20));
    for ((group, joined), offset) in groups.into_iter().zip(&members).zip(100..) {
        assert_eq!(committed(&client, group).await, offset, "the offset of {group}");
        let heartbeat = HeartbeatRequest {
            group_id: group.into(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            ..HeartbeatRequest::default()
        };
        let alive = client.send_to_coordinator(group, &heartbeat).await.unwrap();
        assert_eq!(alive.error_code, ErrorCode::NONE, "the member of {group}");
        let synced = client.send_to_coordinator(group, &sync(group, joined, b"another")).await.unwrap();
        assert_eq!(&synced.assignment[..], b"mine", "the assignment of {group}");
        commit(&client, group, joined, offset + 100).await;
        assert_eq!(committed(&client, group).await, offset + 100);
    }
}
