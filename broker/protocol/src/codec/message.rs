//! The declarations of messages: `message!` and the traits it implements.

use std::ops::RangeInclusive;

use super::{DecodeError, EncodeError, Reader, Version, Wire, Writer};
use crate::ApiKey;

/// A request or a response: what stands in a frame after the header.
pub trait Message: Wire + Clone + std::fmt::Debug + Default + PartialEq + Send + Sync + 'static {
    /// The name in Kafka's schema.
    const NAME: &'static str;
    /// The versions that can be encoded and decoded.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version with compact lengths and tagged fields (KIP-482); `i16::MAX` if there is none.
    const FLEXIBLE_SINCE: i16;

    /// Whether `version` has compact lengths and tagged fields; its header has them too.
    fn is_flexible(version: i16) -> bool {
        version >= Self::FLEXIBLE_SINCE
    }

    /// Reads a message. Bytes after it are left to the caller, as Kafka ignores them.
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        let version = Self::checked(version).ok_or(DecodeError::UnsupportedVersion { message: Self::NAME, version })?;
        Self::read(reader, version)
    }

    /// Writes the message. A field that this version lacks must be at its default unless Kafka's schema calls it ignorable.
    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let version = Self::checked(version).ok_or(EncodeError::UnsupportedVersion { message: Self::NAME, version })?;
        self.write(writer, version)
    }

    /// `version`, if the message has it.
    fn checked(version: i16) -> Option<Version> {
        let flexible = Self::is_flexible(version);
        Self::VERSIONS.contains(&version).then_some(Version { number: version, flexible })
    }
}

/// A message that asks, and its answer.
pub trait Request: Message {
    /// The API that it belongs to.
    const KEY: ApiKey;
    /// What answers it, at the same version.
    type Response: Response;
}

/// A message that answers.
pub trait Response: Message {
    /// Tells the client to hold back for so many milliseconds because of a quota, unless it is told of more already; nothing
    /// where the answer has no place for it in any version.
    fn tell_throttle_time(&mut self, milliseconds: i32);
}

/// Declares the messages of one API:
///
/// ```text
/// message! {
///     /// What it asks.
///     request NameRequest = ApiKeyName [0-13, flexible 9+] -> NameResponse {
///         [0+] acks: i16,
///         [3+, null 3+] transactional_id: Option<Str> = None,
///         [0+] topics: Vec<Topic>,
///     }
///     struct Topic { … }
///     response NameResponse [0-13, flexible 9+] { [10+, tag 0, ignorable] node_endpoints: Vec<NodeEndpoint>, … }
/// }
/// ```
///
/// The bracket before a field has the versions that carry it (`3+`, `0-12` or `5`), those where it may be null, its tag,
/// and whether older versions may lose it silently. A field without `= default` has its type's default.
/// Structures are read and written at the version of the message that holds them.
macro_rules! message {
    () => {};
    ($(#[$meta:meta])* request $name:ident = $key:ident [$($versions:tt)*] -> $response:ident { $($fields:tt)* } $($rest:tt)*) => {
        $crate::codec::message!(@struct [$(#[$meta])*] $name { $($fields)* });
        $crate::codec::message!(@message $name [$($versions)*]);
        impl $crate::codec::Request for $name {
            const KEY: $crate::ApiKey = $crate::ApiKey::$key;
            type Response = $response;
        }
        $crate::codec::message!($($rest)*);
    };
    ($(#[$meta:meta])* response $name:ident [$($versions:tt)*] { $($fields:tt)* } $($rest:tt)*) => {
        $crate::codec::message!(@struct [$(#[$meta])*] $name { $($fields)* });
        $crate::codec::message!(@message $name [$($versions)*]);
        $crate::codec::message!(@response $name { $($fields)* });
        $crate::codec::message!($($rest)*);
    };
    ($(#[$meta:meta])* struct $name:ident { $($fields:tt)* } $($rest:tt)*) => {
        $crate::codec::message!(@struct [$(#[$meta])*] $name { $($fields)* });
        impl $crate::codec::Nullable for $name {}
        $crate::codec::message!($($rest)*);
    };

    (@message $name:ident [$only:literal, flexible $($flexible:tt)*]) => {
        $crate::codec::message!(@message $name [$only - $only, flexible $($flexible)*]);
    };
    (@message $name:ident [$first:literal - $last:literal, flexible $($flexible:tt)*]) => {
        impl $crate::codec::Message for $name {
            const NAME: &'static str = stringify!($name);
            const VERSIONS: std::ops::RangeInclusive<i16> = $first..=$last;
            const FLEXIBLE_SINCE: i16 = $crate::codec::message!(@flexible $($flexible)*);
        }
    };
    (@response $name:ident { $($(#[$doc:meta])* [$($spec:tt)*] $field:ident: $type:ty $(= $default:expr)?,)* }) => {
        impl $crate::codec::Response for $name {
            #[allow(unused_variables, reason = "an answer may have no place for it")]
            fn tell_throttle_time(&mut self, milliseconds: i32) {
                $($crate::codec::message!(@throttle self milliseconds $field);)*
            }
        }
    };
    (@throttle $response:ident $milliseconds:ident throttle_time_ms) => {
        $response.throttle_time_ms = $response.throttle_time_ms.max($milliseconds)
    };
    (@throttle $response:ident $milliseconds:ident $field:ident) => {};

    (@flexible never) => { i16::MAX };
    (@flexible $since:literal +) => { $since };

    (@default $type:ty) => { <$type as Default>::default() };
    (@default $type:ty = $default:expr) => { $default };

    (@struct [$(#[$meta:meta])*] $name:ident {
        $($(#[$doc:meta])* [$($spec:tt)*] $field:ident: $type:ty $(= $default:expr)?,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(
                $(#[$doc])*
                #[doc = concat!("In versions `", stringify!($($spec)*), "`.")]
                pub $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::codec::message!(@default $type $(= $default)?),)* }
            }
        }

        impl $crate::codec::Wire for $name {
            fn read(
                reader: &mut $crate::codec::Reader,
                version: $crate::codec::Version,
            ) -> Result<Self, $crate::codec::DecodeError> {
                #[allow(unused_mut, reason = "a message may have no field")]
                let mut message = Self::default();
                $({
                    const FIELD: $crate::codec::Field = $crate::codec::field!($($spec)*);
                    if FIELD.is_positional_in(version) {
                        message.$field = FIELD.read(stringify!($field), reader, version)?;
                    }
                })*
                if version.flexible {
                    #[allow(unused_variables, reason = "a message may have no field")]
                    reader.tagged_fields(|reader, tag| {
                        $({
                            const FIELD: $crate::codec::Field = $crate::codec::field!($($spec)*);
                            if FIELD.is_tagged(tag, version) {
                                message.$field = FIELD.read(stringify!($field), reader, version)?;
                                return Ok(true);
                            }
                        })*
                        Ok(false)
                    })?;
                }
                Ok(message)
            }

            fn write(
                &self,
                writer: &mut $crate::codec::Writer,
                version: $crate::codec::Version,
            ) -> Result<(), $crate::codec::EncodeError> {
                #[allow(unused_mut, reason = "a message may have no tagged field")]
                let mut tagged_fields = 0u32;
                $({
                    const FIELD: $crate::codec::Field = $crate::codec::field!($($spec)*);
                    if FIELD.is_positional_in(version) {
                        FIELD.write(stringify!($field), &self.$field, writer, version)?;
                    } else if FIELD.exists_in(version) || !FIELD.ignorable {
                        let default: $type = $crate::codec::message!(@default $type $(= $default)?);
                        if self.$field != default {
                            if !FIELD.exists_in(version) {
                                return Err($crate::codec::EncodeError::UnsupportedField {
                                    field: stringify!($field),
                                    version: version.number,
                                });
                            }
                            tagged_fields += 1;
                        }
                    }
                })*
                if version.flexible {
                    writer.unsigned_varint(tagged_fields);
                    $({
                        const FIELD: $crate::codec::Field = $crate::codec::field!($($spec)*);
                        if let Some(tag) = FIELD.tag
                            && FIELD.exists_in(version)
                        {
                            let default: $type = $crate::codec::message!(@default $type $(= $default)?);
                            if self.$field != default {
                                writer.tagged_field(tag, |writer| {
                                    FIELD.write(stringify!($field), &self.$field, writer, version)
                                })?;
                            }
                        }
                    })*
                }
                Ok(())
            }

            fn least_size(version: $crate::codec::Version) -> usize {
                #[allow(unused_mut, reason = "a message may have no field")]
                let mut size = usize::from(version.flexible);
                $({
                    const FIELD: $crate::codec::Field = $crate::codec::field!($($spec)*);
                    if FIELD.is_positional_in(version) {
                        size += <$type as $crate::codec::Wire>::least_size(version);
                    }
                })*
                size
            }

            #[allow(unused_variables, reason = "a message may have no field")]
            fn visit_errors(&self, visit: &mut dyn FnMut($crate::ErrorCode)) {
                $($crate::codec::Wire::visit_errors(&self.$field, visit);)*
            }
        }

        #[cfg(test)]
        impl $crate::codec::generate::Generate for $name {
            #[allow(unused_variables, reason = "a message may have no field")]
            fn generate(source: &mut $crate::codec::generate::Source<'_>, version: $crate::codec::Version, _null: bool) -> Self {
                Self {
                    $($field: {
                        const FIELD: $crate::codec::Field = $crate::codec::field!($($spec)*);
                        if FIELD.exists_in(version) && (FIELD.tag.is_none() || source.coin()) {
                            <$type as $crate::codec::generate::Generate>::generate(
                                source, version, FIELD.may_be_null_in(version),
                            )
                        } else {
                            $crate::codec::message!(@default $type $(= $default)?)
                        }
                    },)*
                }
            }
        }
    };
}
pub(crate) use message;
