//! Tests of the codec over all messages: against another implementation, round trips, hostile bytes, golden bytes.

mod differential;
mod golden;
mod hostile;
mod newest;
mod round_trip;
mod share;
mod streams;
mod throttle;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::codec::generate::{Generate, Source};
use crate::codec::{Message, Writer};

/// A random message of `version` that `seed` determines.
fn message_of_seed<M: Message + Generate>(seed: u64, version: i16) -> M {
    let mut random = StdRng::seed_from_u64(seed);
    let bytes: Vec<u8> = (0..2000).map(|_| random.random()).collect();
    message_of_bytes(&bytes, version)
}

fn message_of_bytes<M: Message + Generate>(bytes: &[u8], version: i16) -> M {
    M::generate(&mut Source::new(bytes), M::checked(version).unwrap(), false)
}

fn encoded<M: Message>(message: &M, version: i16) -> bytes::Bytes {
    let mut writer = Writer::new();
    message.encode(&mut writer, version).unwrap_or_else(|error| panic!("{} v{version}: {error}", M::NAME));
    writer.finish().bytes
}
