//! Quantities in rules: `isQuantity`, `quantity` and its comparisons, as Kubernetes' CEL library has them.
//!
//! An amount is held in billionths, the least unit there is, so that comparisons are exact.

use std::cmp::Ordering;
use std::sync::Arc;

use cel::extractors::This;
use cel::objects::Opaque;
use cel::{Context, ExecutionError, Value};

/// An amount in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quantity(i128);

impl Opaque for Quantity {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.Quantity"
    }
}

pub(super) fn add_functions(context: &mut Context<'_>) {
    context.add_function("isQuantity", |s: Arc<String>| parse(&s).is_some());
    context.add_function("quantity", |s: Arc<String>| match parse(&s) {
        Some(amount) => Ok(Value::Opaque(Arc::new(Quantity(amount)))),
        None => Err(ExecutionError::function_error("quantity", "not a quantity")),
    });
    context.add_function("compareTo", |This(left): This<Value>, right: Value| {
        compare("compareTo", &left, &right).map(|order| order as i64)
    });
    context.add_function("isGreaterThan", |This(left): This<Value>, right: Value| {
        compare("isGreaterThan", &left, &right).map(Ordering::is_gt)
    });
    context.add_function("isLessThan", |This(left): This<Value>, right: Value| {
        compare("isLessThan", &left, &right).map(Ordering::is_lt)
    });
}

fn compare(function: &str, left: &Value, right: &Value) -> Result<Ordering, ExecutionError> {
    let amount = |value: &Value| match value {
        Value::Opaque(opaque) => opaque.downcast_ref::<Quantity>().map(|quantity| quantity.0),
        _ => None,
    };
    match (amount(left), amount(right)) {
        (Some(left), Some(right)) => Ok(left.cmp(&right)),
        _ => Err(ExecutionError::function_error(function, "wants two quantities")),
    }
}

/// A decimal number with an SI, binary or exponent suffix.
fn parse(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    let (number, suffix) = digits.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: i128 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let billionths = whole.checked_mul(1_000_000_000)?.checked_add(fraction)?;
    let amount = match suffix {
        "n" => billionths / 1_000_000_000,
        "u" => billionths / 1_000_000,
        "m" => billionths / 1_000,
        other => billionths.checked_mul(factor(other)?)?,
    };
    Some(sign * amount)
}

fn factor(suffix: &str) -> Option<i128> {
    let powers = |of: i128, list: &[&str]| {
        let at = list.iter().position(|known| *known == suffix)?;
        of.checked_pow(u32::try_from(at).ok()? + 1)
    };
    if suffix.is_empty() {
        return Some(1);
    }
    powers(1000, &["k", "M", "G", "T", "P", "E"])
        .or_else(|| powers(1024, &["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]))
        .or_else(|| {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            10_i128.checked_pow(exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_in_every_spelling() {
        assert_eq!(parse("1Gi"), parse("1024Mi"));
        assert_eq!(parse("0.5"), parse("500m"));
        assert_eq!(parse("1e3"), parse("1k"));
        assert_eq!(parse("-1"), Some(-1_000_000_000));
        assert!(parse("1Gi") < parse("2G"));
        for bad in ["", "much", "1GB", "1..2", "Gi", "1e", "--1"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
