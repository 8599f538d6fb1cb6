//! Chooses a SASL mechanism (KIP-43).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Names the mechanism to use.
    request SaslHandshakeRequest = SaslHandshake [0-1, flexible never] -> SaslHandshakeResponse {
        [0+] mechanism: Str,
    }

    /// The mechanisms that there are.
    response SaslHandshakeResponse [0-1, flexible never] {
        [0+] error_code: ErrorCode,
        [0+] mechanisms: Vec<Str>,
    }
}
