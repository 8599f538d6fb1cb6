//! Carries the tokens of a SASL exchange (KIP-152, KIP-368).

use bytes::Bytes;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// The client's token.
    request SaslAuthenticateRequest = SaslAuthenticate [0-2, flexible 2+] -> SaslAuthenticateResponse {
        [0+] auth_bytes: Bytes,
    }

    /// The server's token.
    response SaslAuthenticateResponse [0-2, flexible 2+] {
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [0+, null 0+] error_message: Option<Str> = Some(Str::default()),
        [0+] auth_bytes: Bytes,
        /// How long the authentication holds, in milliseconds; 0 for ever.
        [1+, ignorable] session_lifetime_ms: i64,
    }
}
