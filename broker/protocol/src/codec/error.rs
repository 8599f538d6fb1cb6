//! Why bytes are no message, and why a message cannot be put into bytes.

/// Why a frame could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A value runs past the end of the frame.
    #[error("a value needs {needed} bytes, {remaining} remain")]
    Truncated {
        /// Bytes that the value claims, or the least that its elements need.
        needed: u64,
        /// Bytes that are left in the frame.
        remaining: usize,
    },
    /// A variable-length integer is longer than its type allows.
    #[error("a variable-length integer does not end")]
    VarintTooLong,
    /// A length is beyond what its type allows.
    #[error("length {0} is beyond the limit of its type")]
    LengthTooLarge(u64),
    /// Null where the schema has none.
    #[error("{0} must not be null")]
    UnexpectedNull(&'static str),
    /// A known tagged field whose content is longer or shorter than its size says.
    #[error("tagged field {tag} does not fill its {size} bytes")]
    TaggedFieldSize {
        /// Number of the field.
        tag: u32,
        /// The size it claims.
        size: usize,
    },
    /// More tagged fields than any sane peer sends.
    #[error("{0} tagged fields in one structure")]
    TooManyTaggedFields(u32),
    /// The decoded structures would take more memory than the reader's budget.
    #[error("the message would take more than {limit} bytes of memory")]
    TooMuchMemory {
        /// The budget.
        limit: usize,
    },
    /// The message has no such version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// Name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// Bytes are left after the message.
    #[error("{0} bytes are left after the message")]
    TrailingBytes(usize),
}

/// Why a message could not be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A field is set that this version cannot carry, and that must not be lost silently.
    #[error("version {version} cannot carry the field {field}")]
    UnsupportedField {
        /// Name of the field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// Null where the version has none.
    #[error("{0} must not be null")]
    UnexpectedNull(&'static str),
    /// Longer than the wire type allows.
    #[error("length {0} is beyond the limit of its type")]
    LengthTooLarge(usize),
    /// The message has no such version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// Name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
}
