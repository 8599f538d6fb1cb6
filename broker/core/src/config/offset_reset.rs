//! `share.auto.offset.reset`: where a share group begins with a partition that it has not begun with (KIP-932).

use std::time::Duration;

const BY_DURATION: &str = "by_duration:";

/// Where delivery begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetReset {
    /// `latest`: at the end, behind all records that are there.
    #[default]
    Latest,
    /// `earliest`: at the first record.
    Earliest,
    /// `by_duration:…`: at the first record that is no older than this.
    ByDuration(Duration),
}

impl OffsetReset {
    /// Reads a value of the configuration; none if it is no such value.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "latest" => Some(Self::Latest),
            "earliest" => Some(Self::Earliest),
            other => other.strip_prefix(BY_DURATION).and_then(duration).map(Self::ByDuration),
        }
    }
}

/// Whether `value` is one.
pub(super) fn check(value: &str) -> Result<(), String> {
    let rule = "The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.";
    OffsetReset::parse(value).map(drop).ok_or_else(|| rule.to_owned())
}

/// Reads `PnDTnHnMn.nS` (ISO 8601), each part of which may be left out, but not all of them; in either case of letters.
fn duration(text: &str) -> Option<Duration> {
    let text = text.to_ascii_uppercase();
    let text = text.strip_prefix('P')?;
    let (days, time) = match text.split_once('T') {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return None,
        None => (text, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let (days, rest) = part(days, 'D')?;
    let (hours, time) = part(time, 'H')?;
    let (minutes, time) = part(time, 'M')?;
    let seconds = if time.is_empty() { Duration::ZERO } else { seconds(time.strip_suffix('S')?)? };
    if !rest.is_empty() {
        return None;
    }
    let hours = days.checked_mul(24)?.checked_add(hours)?;
    let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
    Duration::from_secs(minutes.checked_mul(60)?).checked_add(seconds)
}

/// The number before `unit`, 0 if it is left out, and what follows.
fn part(text: &str, unit: char) -> Option<(u64, &str)> {
    match text.split_once(unit) {
        Some((number, rest)) => Some((digits(number)?, rest)),
        None => Some((0, text)),
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    if fraction.len() > 9 {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { digits(&format!("{fraction:0<9}"))? };
    Some(Duration::new(digits(whole)?, u32::try_from(nanos).ok()?))
}

fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_a_word_or_a_duration_of_iso_8601() {
        let by = |millis| Some(OffsetReset::ByDuration(Duration::from_millis(millis)));
        for (text, reset) in [
            ("latest", Some(OffsetReset::Latest)),
            (" earliest ", Some(OffsetReset::Earliest)),
            ("by_duration:P2D", by(172_800_000)),
            ("by_duration:PT1H", by(3_600_000)),
            ("by_duration:p1dt1h1m1.5s", by(90_061_500)),
            ("by_duration:PT0S", by(0)),
            ("by_duration:PT0.000000001S", Some(OffsetReset::ByDuration(Duration::from_nanos(1)))),
        ] {
            assert_eq!(OffsetReset::parse(text), reset, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "Latest",
            "none",
            "by_duration:",
            "by_duration:P",
            "by_duration:PT",
            "by_duration:P1DT",
            "by_duration:PT-1S",
            "by_duration:-PT1S",
            "by_duration:PT1",
            "by_duration:PT1M1H",
            "by_duration:P1D1D",
            "by_duration:PT1.0000000001S",
            "by_duration:PT.5S",
            "by_duration:P99999999999999999D",
        ] {
            assert_eq!(OffsetReset::parse(text), None, "{text}");
        }
        assert!(check("never").is_err() && check("latest").is_ok());
    }
}
