//! One file per API, each with the declarations of its request and response at every version of Kafka 4.3.
//!
//! Structures and fields have the names of Kafka's schema; nested structures are found in the module of their API. A
//! field's documentation says which versions carry it, where it may be null, and its tag.

pub mod api_versions;
pub mod fetch;
pub mod find_coordinator;
pub mod init_producer_id;
pub mod list_offsets;
pub mod metadata;
pub mod produce;

use std::ops::RangeInclusive;

use crate::ApiKey;
use crate::codec::{DecodeError, Message as _, Reader};

pub use api_versions::{ApiVersionsRequest, ApiVersionsResponse};
pub use fetch::{FetchRequest, FetchResponse};
pub use find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
pub use init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
pub use list_offsets::{ListOffsetsRequest, ListOffsetsResponse};
pub use metadata::{MetadataRequest, MetadataResponse};
pub use produce::{ProduceRequest, ProduceResponse};

macro_rules! known_apis {
    ($($name:ident: $request:ident,)+) => {
        /// Whether `key` at `version` has compact lengths and tagged fields; false for an API that has no messages here.
        pub fn is_flexible(key: ApiKey, version: i16) -> bool {
            match key {
                $(ApiKey::$name => $request::is_flexible(version),)+
                _ => false,
            }
        }

        /// The versions that can be decoded; a broker may serve fewer.
        pub fn versions(key: ApiKey) -> Option<RangeInclusive<i16>> {
            match key {
                $(ApiKey::$name => Some($request::VERSIONS),)+
                _ => None,
            }
        }

        /// Decodes any request and drops it: for checks of the decoders alone.
        pub fn check_request(key: ApiKey, version: i16, reader: &mut Reader) -> Result<(), DecodeError> {
            match key {
                $(ApiKey::$name => $request::decode(reader, version).map(drop),)+
                _ => Err(DecodeError::UnsupportedVersion { message: key.name(), version }),
            }
        }

        /// Calls the macro given with the name and the request of every API here.
        #[cfg(test)]
        macro_rules! for_each_api {
            ($then:ident) => {
                $then! { $($name: $request,)+ }
            };
        }
        #[cfg(test)]
        pub(crate) use for_each_api;
    };
}

known_apis! {
    Produce: ProduceRequest,
    Fetch: FetchRequest,
    ListOffsets: ListOffsetsRequest,
    Metadata: MetadataRequest,
    FindCoordinator: FindCoordinatorRequest,
    ApiVersions: ApiVersionsRequest,
    InitProducerId: InitProducerIdRequest,
}
