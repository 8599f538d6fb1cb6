//! How a broker with empty directories comes to a metadata quorum: founds one, joins one, or is alone.

use ottla_core::BrokerId;

use super::Error;
use super::listener::words;

/// A founding voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its `node.id`.
    pub id: BrokerId,
    /// `host:port` of its CONTROLLER listener.
    pub address: String,
}

/// `controller.quorum.voters` and `controller.quorum.bootstrap.servers`, looked at only while the directories are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// Neither is given: a cluster of one.
    Alone,
    /// The voters that found a cluster together.
    Founding(Vec<Voter>),
    /// Addresses where the quorum is found.
    Joining(Vec<String>),
}

impl Quorum {
    /// The founding voters, where they are given.
    pub fn founders(&self) -> &[Voter] {
        match self {
            Self::Founding(voters) => voters,
            Self::Alone | Self::Joining(_) => &[],
        }
    }

    pub(super) fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        const VOTERS: &str = "controller.quorum.voters";
        const BOOTSTRAP: &str = "controller.quorum.bootstrap.servers";
        if let Some(value) = get(VOTERS) {
            let reason = |word: &str| format!("{word} is not id@host:port");
            let voter = |word| parse_voter(word).ok_or_else(|| Error::invalid(VOTERS, &value, reason(word)));
            let voters: Vec<Voter> = words(&value).map(voter).collect::<Result<_, _>>()?;
            for (index, voter) in voters.iter().enumerate() {
                if voters[..index].iter().any(|other| other.id == voter.id) {
                    return Err(Error::invalid(VOTERS, &value, format!("id {} is given twice", voter.id)));
                }
            }
            return Ok(Self::Founding(voters));
        }
        if let Some(value) = get(BOOTSTRAP) {
            if let Some(word) = words(&value).find(|word| !is_address(word)) {
                return Err(Error::invalid(BOOTSTRAP, &value, format!("{word} is not host:port")));
            }
            return Ok(Self::Joining(words(&value).map(str::to_owned).collect()));
        }
        Ok(Self::Alone)
    }
}

fn parse_voter(word: &str) -> Option<Voter> {
    let (id, address) = word.split_once('@')?;
    let id = id.parse().ok().filter(|id| *id >= 0)?;
    is_address(address).then(|| Voter { id: BrokerId(id), address: address.to_owned() })
}

fn is_address(word: &str) -> bool {
    word.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &'static str, value: &'static str) -> Result<Quorum, Error> {
        Quorum::read(|asked| (asked == key).then(|| value.to_owned()))
    }

    #[test]
    fn voters_and_bootstrap_servers_are_read() {
        let voters = read("controller.quorum.voters", "0@a:9093,1@b:9093").unwrap();
        let voter = |id, address: &str| Voter { id: BrokerId(id), address: address.to_owned() };
        assert_eq!(voters, Quorum::Founding(vec![voter(0, "a:9093"), voter(1, "b:9093")]));
        let joining = read("controller.quorum.bootstrap.servers", "a:1, b:2").unwrap();
        assert_eq!(joining, Quorum::Joining(vec!["a:1".into(), "b:2".into()]));
    }

    #[test]
    fn malformed_lists_are_refused() {
        for value in ["0@a", "x@a:1", "0@a:1,0@b:1", "-1@a:1"] {
            assert!(read("controller.quorum.voters", value).is_err(), "{value}");
        }
        assert!(read("controller.quorum.bootstrap.servers", "nowhere").is_err());
    }
}
