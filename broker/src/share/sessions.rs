//! Share sessions (KIP-932): the broker remembers which partitions a member fetches, and the order of its requests.
//!
//! A session ends with the member's word, or with its connection; what the member has is then given back.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use indexmap::IndexSet;
use ottla_protocol::ErrorCode;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::net::Peer;

/// Session epoch that opens a session.
pub const INITIAL: i32 = 0;
/// Session epoch that ends it.
pub const FINAL: i32 = -1;

/// Who has a session: a member of a group.
pub type Member = (String, String);

/// A partition of a topic.
pub type At = (Uuid, i32);

struct Session {
    /// The epoch that the next request must have.
    epoch: i32,
    partitions: IndexSet<At>,
    connection: Weak<Peer>,
}

/// The sessions of a group, by member.
type OfGroup = HashMap<String, Session>;

/// The sessions of a broker.
#[derive(Default)]
pub struct ShareSessions {
    /// By group; none is empty.
    open: Mutex<HashMap<String, OfGroup>>,
}

/// The epoch after `epoch`.
fn next(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

impl ShareSessions {
    /// A fetch of `member`, over its connection: gives the partitions that it is about, in turn, none if it ends the session.
    /// A new one is opened while there are fewer than `most`.
    pub fn fetch(
        &self,
        (group, member): &Member,
        epoch: i32,
        added: impl Iterator<Item = At>,
        forgotten: impl Iterator<Item = At>,
        connection: &Arc<Peer>,
        most: usize,
    ) -> Result<Vec<At>, ErrorCode> {
        let mut open = self.open.lock();
        if epoch == FINAL {
            let is_open = session(&mut open, group, member).is_some();
            return if is_open { Ok(Vec::new()) } else { Err(ErrorCode::SHARE_SESSION_NOT_FOUND) };
        }
        if epoch == INITIAL {
            take(&mut open, group, member);
            if open.values().map(OfGroup::len).sum::<usize>() >= most {
                return Err(ErrorCode::SHARE_SESSION_LIMIT_REACHED);
            }
            let partitions: IndexSet<At> = added.collect();
            let all = partitions.iter().copied().collect();
            let session = Session { epoch: 1, partitions, connection: Arc::downgrade(connection) };
            open.entry(group.clone()).or_default().insert(member.clone(), session);
            return Ok(all);
        }
        let session = session(&mut open, group, member).ok_or(ErrorCode::SHARE_SESSION_NOT_FOUND)?;
        session.advance(epoch)?;
        session.partitions.extend(added);
        for at in forgotten {
            session.partitions.shift_remove(&at);
        }
        let mut all: Vec<At> = session.partitions.iter().copied().collect();
        if !all.is_empty() {
            // Each fetch begins with another one, so that all get their turn.
            let first = usize::try_from(epoch).unwrap_or(0) % all.len();
            all.rotate_left(first);
        }
        Ok(all)
    }

    /// An acknowledgement of `member` alone.
    pub fn acknowledge(&self, (group, member): &Member, epoch: i32) -> Result<(), ErrorCode> {
        if epoch == INITIAL {
            return Err(ErrorCode::INVALID_SHARE_SESSION_EPOCH);
        }
        let mut open = self.open.lock();
        let session = session(&mut open, group, member).ok_or(ErrorCode::SHARE_SESSION_NOT_FOUND)?;
        if epoch == FINAL { Ok(()) } else { session.advance(epoch) }
    }

    /// Ends the session of `member`; gives the partitions that it was about.
    pub fn end(&self, (group, member): &Member) -> Vec<At> {
        let ended = take(&mut self.open.lock(), group, member);
        ended.map(|session| session.partitions.into_iter().collect()).unwrap_or_default()
    }

    /// Ends the sessions whose connections are gone; gives their members and partitions.
    pub(super) fn abandoned(&self) -> Vec<(Member, Vec<At>)> {
        let is_gone = |_: &String, session: &mut Session| session.connection.strong_count() == 0;
        let mut abandoned = Vec::new();
        self.open.lock().retain(|group, sessions| {
            for (member, session) in sessions.extract_if(is_gone) {
                abandoned.push(((group.clone(), member), session.partitions.into_iter().collect()));
            }
            !sessions.is_empty()
        });
        abandoned
    }

    /// Whether a member of `group` has one.
    pub(super) fn has_group(&self, group: &str) -> bool {
        self.open.lock().contains_key(group)
    }

    /// How many there are, and how many partitions they are about.
    pub fn count(&self) -> (usize, usize) {
        let open = self.open.lock();
        let all = || open.values().flat_map(OfGroup::values);
        (all().count(), all().map(|session| session.partitions.len()).sum())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open.lock().is_empty()
    }
}

fn session<'a>(open: &'a mut HashMap<String, OfGroup>, group: &str, member: &str) -> Option<&'a mut Session> {
    open.get_mut(group)?.get_mut(member)
}

fn take(open: &mut HashMap<String, OfGroup>, group: &str, member: &str) -> Option<Session> {
    let sessions = open.get_mut(group)?;
    let session = sessions.remove(member);
    if sessions.is_empty() {
        open.remove(group);
    }
    session
}

impl Session {
    fn advance(&mut self, epoch: i32) -> Result<(), ErrorCode> {
        if self.epoch != epoch {
            return Err(ErrorCode::INVALID_SHARE_SESSION_EPOCH);
        }
        self.epoch = next(epoch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Arc<Peer> {
        Arc::new(Peer::new("127.0.0.1:1".parse().unwrap(), "PLAINTEXT".into()))
    }

    fn member(name: &str) -> Member {
        ("g".to_owned(), name.to_owned())
    }

    const T: Uuid = Uuid::from_u128(7);

    #[test]
    fn a_session_remembers_its_partitions_and_holds_to_its_epochs() {
        let (sessions, peer) = (ShareSessions::default(), peer());
        let fetch = |epoch, added: &[i32], forgotten: &[i32]| {
            let at = |all: &[i32]| all.iter().map(|partition| (T, *partition)).collect::<Vec<_>>().into_iter();
            sessions.fetch(&member("m"), epoch, at(added), at(forgotten), &peer, 10)
        };
        assert_eq!(fetch(1, &[], &[]), Err(ErrorCode::SHARE_SESSION_NOT_FOUND));
        assert_eq!(fetch(0, &[0, 1], &[]), Ok(vec![(T, 0), (T, 1)]));
        assert_eq!(fetch(1, &[2], &[]), Ok(vec![(T, 1), (T, 2), (T, 0)]), "another comes first");
        assert_eq!(fetch(1, &[], &[]), Err(ErrorCode::INVALID_SHARE_SESSION_EPOCH));
        assert_eq!(sessions.count(), (1, 3));
        assert_eq!(sessions.acknowledge(&member("m"), 2), Ok(()));
        assert_eq!(sessions.acknowledge(&member("m"), 2), Err(ErrorCode::INVALID_SHARE_SESSION_EPOCH));
        assert_eq!(fetch(3, &[], &[0, 1]), Ok(vec![(T, 2)]));
        assert_eq!(fetch(-1, &[], &[]), Ok(vec![]));
        assert!(sessions.has_group("g"));
        assert_eq!(sessions.end(&member("m")), [(T, 2)]);
        assert!(!sessions.has_group("g") && sessions.is_empty());
        assert_eq!(sessions.acknowledge(&member("m"), -1), Err(ErrorCode::SHARE_SESSION_NOT_FOUND));
        assert_eq!(sessions.acknowledge(&member("m"), 0), Err(ErrorCode::INVALID_SHARE_SESSION_EPOCH));
    }

    #[test]
    fn there_are_no_more_sessions_than_may_be_and_they_end_with_their_connections() {
        let (sessions, first, second) = (ShareSessions::default(), peer(), peer());
        let open = |name: &str, peer: &Arc<Peer>| {
            sessions.fetch(&member(name), 0, [(T, 0)].into_iter(), std::iter::empty(), peer, 2)
        };
        assert!(open("a", &first).is_ok() && open("b", &second).is_ok());
        assert_eq!(open("c", &second), Err(ErrorCode::SHARE_SESSION_LIMIT_REACHED));
        assert_eq!(sessions.abandoned(), []);
        drop(first);
        assert_eq!(sessions.abandoned(), [(member("a"), vec![(T, 0)])]);
        assert!(open("c", &second).is_ok());
    }
}
