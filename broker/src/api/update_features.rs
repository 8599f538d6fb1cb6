//! UpdateFeatures: finalizes feature levels, all of them or none (KIP-584, KIP-778).

use ottla_core::controller::{self, FeatureUpdate, UpdateFeatures};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::update_features::{FeatureUpdateKey, UpdatableFeatureResult};
use ottla_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::{Context, error};

/// Kinds of updates, since version 1.
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// Answers once the levels are finalized.
pub(super) async fn handle(context: Context, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let wanted = request.feature_updates.iter().map(|update| of_request(update, context.version));
    let updates = match wanted.collect::<Result<Vec<_>, _>>() {
        Ok(updates) => updates,
        Err(reason) => return failed(ErrorCode::INVALID_UPDATE_VERSION, &reason),
    };
    let command = UpdateFeatures { updates, validate_only: request.validate_only };
    match context.broker.controller.submit_within(command, super::patience(request.timeout_ms)).await {
        Ok(results) => answer(results),
        Err(refusal) => failed(error::of_submit(&refusal), &refusal.to_string()),
    }
}

fn of_request(update: &FeatureUpdateKey, version: i16) -> Result<FeatureUpdate, String> {
    let (name, level) = (update.feature.to_string(), update.max_version_level);
    let downgrade = match update.upgrade_type {
        _ if version == 0 => update.allow_downgrade,
        UPGRADE => false,
        // No level of any feature loses metadata.
        SAFE_DOWNGRADE | UNSAFE_DOWNGRADE => true,
        _ => {
            let reason = "The controller does not support the given upgrade type.";
            return Err(of_all(&format!("Invalid update version {level} for feature {name}. {reason}")));
        }
    };
    Ok(FeatureUpdate { name, level, downgrade })
}

fn answer(results: Vec<(String, Result<(), controller::Error>)>) -> UpdateFeaturesResponse {
    if let Some(refusal) = results.iter().find_map(|(_, result)| result.as_ref().err()) {
        return failed(error::of_controller(refusal), &of_all(&refusal.to_string()));
    }
    let done = |(feature, _): (String, _)| UpdatableFeatureResult {
        feature: feature.into(),
        error_code: ErrorCode::NONE,
        error_message: None,
    };
    let results = results.into_iter().map(done).collect();
    UpdateFeaturesResponse { results, error_message: None, ..UpdateFeaturesResponse::default() }
}

fn of_all(reason: &str) -> String {
    format!("The update failed for all features since the following feature had an error: {reason}")
}

fn failed(error_code: ErrorCode, message: &str) -> UpdateFeaturesResponse {
    let error_message = Some(message.into());
    UpdateFeaturesResponse { error_code, error_message, ..UpdateFeaturesResponse::default() }
}
