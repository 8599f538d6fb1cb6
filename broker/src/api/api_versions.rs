//! ApiVersions (KIP-35, KIP-511, KIP-584): tells what the table says that clients are told, and the features of the cluster.

use ottla_core::controller::supported_features;
use ottla_core::metadata::FeatureRange;
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::{EncodeError, Encoded, Str};
use ottla_protocol::frame::encode_response;
use ottla_protocol::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

use super::{Api, Context};

/// Answers with every API of the table that is advertised, and every feature.
pub(super) async fn handle(context: Context, request: ApiVersionsRequest) -> ApiVersionsResponse {
    let mut response = ApiVersionsResponse::default();
    if context.version >= 3 {
        let (name, version) = (request.client_software_name, request.client_software_version);
        if !is_software_name(&name) || !is_software_name(&version) {
            response.error_code = ErrorCode::INVALID_REQUEST;
            return response;
        }
        // A client that asks twice keeps the name it gave first.
        let _ = context.peer.software.set((name.to_string(), version.to_string()));
    }
    let advertised = context.broker.apis.iter().filter(|api| (api.is_advertised)(&context.broker));
    response.api_keys = advertised.map(entry).collect();
    response.supported_features = supported_features().map(supported).collect();
    let image = context.broker.image();
    response.finalized_features_epoch = i64::try_from(image.index().0).unwrap_or(i64::MAX);
    response.finalized_features = image.features().iter().map(finalized).collect();
    response
}

fn supported((name, range): (&'static str, FeatureRange)) -> SupportedFeatureKey {
    SupportedFeatureKey { name: Str::from_static(name), min_version: range.min, max_version: range.max }
}

fn finalized((name, level): (&String, &i16)) -> FinalizedFeatureKey {
    FinalizedFeatureKey { name: name.as_str().into(), max_version_level: *level, min_version_level: *level }
}

/// The answer to a version that is not known here: the body of version 0, and our own versions of this API alone.
pub(super) fn unsupported_version(correlation_id: i32, api: &Api) -> Result<Encoded, EncodeError> {
    let error_code = ErrorCode::UNSUPPORTED_VERSION;
    let response = ApiVersionsResponse { error_code, api_keys: vec![entry(api)], ..ApiVersionsResponse::default() };
    encode_response(correlation_id, 0, &response, 0)
}

fn entry(api: &Api) -> ApiVersion {
    ApiVersion { api_key: api.key.number(), min_version: *api.advertised.start(), max_version: *api.advertised.end() }
}

/// Letters and digits with `.` and `-` between them.
fn is_software_name(text: &str) -> bool {
    let is_alphanumeric = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    is_alphanumeric(bytes.first())
        && is_alphanumeric(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::is_software_name;

    #[test]
    fn software_names_are_letters_and_digits_with_dots_and_dashes_between() {
        for good in ["a", "a.b-c", "1.0-x", "Apache-Kafka-Java"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "bad name!", "-lead", "trail.", "ä"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}
