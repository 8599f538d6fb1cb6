//! Amounts as Kubernetes writes them, exact enough to compare: `10Gi`, `500m`, `1e3`; and bytes and times as people read them.

use std::time::Duration;

/// The amount in thousandths, or `None` if the text is no quantity or beyond any real disk or machine.
pub fn milli(text: &str) -> Option<i128> {
    let split = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let thousandths = decimal_milli(number)?;
    if suffix == "m" {
        return thousandths.checked_div(1000);
    }
    thousandths.checked_mul(factor(suffix)?)
}

fn factor(suffix: &str) -> Option<i128> {
    const KIBI: i128 = 1 << 10;
    Some(match suffix {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "P" => 1_000_000_000_000_000,
        "E" => 1_000_000_000_000_000_000,
        "Ki" => KIBI,
        "Mi" => KIBI.pow(2),
        "Gi" => KIBI.pow(3),
        "Ti" => KIBI.pow(4),
        "Pi" => KIBI.pow(5),
        "Ei" => KIBI.pow(6),
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            10_i128.checked_pow(digits.strip_prefix('+').unwrap_or(digits).parse().ok()?)?
        }
    })
}

/// `12.5` is 12500. More than three digits after the point are cut: Kubernetes has none below a thousandth.
fn decimal_milli(number: &str) -> Option<i128> {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || whole.len() > 20 {
        return None;
    }
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: i128 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let amount = whole * 1000 + fraction;
    Some(if negative { -amount } else { amount })
}

/// `bytes` as a person reads them.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut amount = bytes as f64;
    let mut unit = "bytes";
    for next in UNITS {
        if amount < 1024.0 {
            break;
        }
        (amount, unit) = (amount / 1024.0, next);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{amount:.1} {unit}") }
}

/// `time` as a person reads it: whole seconds, minutes or hours, of which there are two at least.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_amount_written_in_several_ways_is_one_amount() {
        assert_eq!(milli("1Gi"), milli("1024Mi"));
        assert_eq!(milli("0.5"), milli("500m"));
        assert_eq!(milli("1e3"), milli("1k"));
        assert_eq!(milli("1.5Gi"), milli("1536Mi"));
        assert_eq!(milli("-1"), Some(-1000));
        assert_eq!(milli("1"), Some(1000));
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in ["", "Gi", "1GB", "ten", "1..2", "1-2", "--1", "1e", "e3", "99999999999999999999999"] {
            assert_eq!(milli(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_told_in_the_largest_unit_of_which_there_are_two() {
        assert_eq!(
            [5, 119, 120, 7199, 7201].map(Duration::from_secs).map(time),
            ["5 s", "119 s", "2 min", "120 min", "3 h"]
        );
    }

    #[test]
    fn bytes_are_told_in_the_largest_unit_that_they_fill() {
        let told = [0, 1023, 1024, 5 << 20, (3 << 30) + (1 << 29), u64::MAX].map(human);
        assert_eq!(told, ["0 bytes", "1023 bytes", "1.0 KiB", "5.0 MiB", "3.5 GiB", "16384.0 PiB"]);
    }
}
