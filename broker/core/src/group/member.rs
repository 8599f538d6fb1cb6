//! A member of a group.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::record::{GroupValue, MemberValue};
use super::request::{DescribedMember, Join, JoinedMember, Protocol};
use crate::coordinator::RequestId;

/// A member with the requests of it that are parked.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: Arc<str>,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout: Duration,
    pub(super) session_timeout: Duration,
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// Has not been in a generation yet, so it cannot send heartbeats: its session may end while its join is parked.
    pub(super) is_new: bool,
    /// A parked JoinGroup.
    pub(super) join: Option<RequestId>,
    /// A parked SyncGroup.
    pub(super) sync: Option<RequestId>,
}

impl Member {
    /// A new member whose JoinGroup is parked.
    pub(super) fn joining(id: Arc<str>, request: RequestId, join: Join) -> Self {
        Self {
            id,
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            rebalance_timeout: join.rebalance_timeout,
            session_timeout: join.session_timeout,
            protocols: join.protocols,
            assignment: Bytes::new(),
            is_new: true,
            join: Some(request),
            sync: None,
        }
    }

    /// A member of a stored generation.
    pub(super) fn stored(value: MemberValue, protocol: &str) -> Self {
        Self {
            id: value.member_id.into(),
            instance_id: value.instance_id,
            client_id: value.client_id,
            client_host: value.client_host,
            rebalance_timeout: value.rebalance_timeout,
            session_timeout: value.session_timeout,
            protocols: vec![Protocol { name: protocol.to_owned(), metadata: value.subscription }],
            assignment: value.assignment,
            is_new: false,
            join: None,
            sync: None,
        }
    }

    /// The member with its assignment, as it is stored.
    pub(super) fn to_value(&self, protocol: &str, assignment: Bytes) -> MemberValue {
        MemberValue {
            member_id: self.id.to_string(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout: self.rebalance_timeout,
            session_timeout: self.session_timeout,
            subscription: self.metadata(protocol),
            assignment,
        }
    }

    /// What the member says under `protocol`; empty if it does not follow it.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|p| p.name == protocol).map(|p| p.metadata.clone()).unwrap_or_default()
    }

    /// The candidate that the member likes best.
    pub(super) fn vote(&self, is_candidate: impl Fn(&str) -> bool) -> Option<&str> {
        self.protocols.iter().map(|p| p.name.as_str()).find(|name| is_candidate(name))
    }

    /// A member whose request is parked need not send heartbeats.
    pub(super) fn heartbeat_satisfied(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }

    /// As the leader sees it.
    pub(super) fn to_joined(&self, protocol: &str) -> JoinedMember {
        JoinedMember {
            member_id: self.id.to_string(),
            instance_id: self.instance_id.clone(),
            metadata: self.metadata(protocol),
        }
    }

    /// As DescribeGroups shows it: its metadata only while the group is stable.
    pub(super) fn to_described(&self, protocol: Option<&str>) -> DescribedMember {
        DescribedMember {
            member_id: self.id.to_string(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            metadata: protocol.map(|name| self.metadata(name)).unwrap_or_default(),
            assignment: self.assignment.clone(),
        }
    }
}

/// How many members follow each protocol.
#[derive(Clone, Debug, Default)]
pub(super) struct ProtocolCounts(HashMap<String, usize>);

impl ProtocolCounts {
    pub(super) fn add(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            *self.0.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            if let Some(count) = self.0.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&protocol.name);
                }
            }
        }
    }

    /// How many members follow the protocol.
    pub(super) fn of(&self, name: &str) -> usize {
        self.0.get(name).copied().unwrap_or(0)
    }
}

/// The members of a stored generation, if it has any.
pub(super) fn stored_members(value: &mut GroupValue) -> Vec<Member> {
    let protocol = value.protocol.clone().unwrap_or_default();
    std::mem::take(&mut value.members).into_iter().map(|member| Member::stored(member, &protocol)).collect()
}
