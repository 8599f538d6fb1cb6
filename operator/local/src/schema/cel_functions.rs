//! The functions that Kubernetes adds to CEL's own, as far as rules over strings and lists use them.

use std::sync::Arc;

use cel::extractors::This;
use cel::{Context, ExecutionError, Value};
use regex::Regex;

use super::cel_quantity;

type Text = Arc<String>;
type List = Arc<Vec<Value>>;

pub(super) fn add_functions(context: &mut Context<'_>) {
    context.add_function("lowerAscii", |This(s): This<Text>| s.to_ascii_lowercase());
    context.add_function("upperAscii", |This(s): This<Text>| s.to_ascii_uppercase());
    context.add_function("trim", |This(s): This<Text>| s.trim().to_owned());
    context.add_function("replace", |This(s): This<Text>, from: Text, to: Text| s.replace(from.as_str(), &to));
    context.add_function("split", split);
    context.add_function("join", join);
    context.add_function("find", find);
    context.add_function("findAll", find_all);
    context.add_function("indexOf", index_of);
    context.add_function("lastIndexOf", last_index_of);
    context.add_function("substring", substring);
    context.add_function("charAt", char_at);
    context.add_function("isSorted", is_sorted);
    context.add_function("sum", sum);
    cel_quantity::add_functions(context);
}

fn text(value: &str) -> Value {
    Value::String(Arc::new(value.to_owned()))
}

fn split(This(s): This<Text>, separator: Text) -> Result<Value, ExecutionError> {
    Ok(Value::List(Arc::new(s.split(separator.as_str()).map(text).collect())))
}

fn join(This(list): This<List>, separator: Text) -> Result<Value, ExecutionError> {
    let parts: Result<Vec<_>, _> = list
        .iter()
        .map(|item| match item {
            Value::String(s) => Ok(s.as_str()),
            _ => Err(ExecutionError::function_error("join", "not a list of strings")),
        })
        .collect();
    Ok(text(&parts?.join(&separator)))
}

fn regex(function: &str, pattern: &str) -> Result<Regex, ExecutionError> {
    Regex::new(pattern).map_err(|error| ExecutionError::function_error(function, error))
}

fn find(This(s): This<Text>, pattern: Text) -> Result<Value, ExecutionError> {
    Ok(text(regex("find", &pattern)?.find(&s).map_or("", |found| found.as_str())))
}

fn find_all(This(s): This<Text>, pattern: Text) -> Result<Value, ExecutionError> {
    let pattern = regex("findAll", &pattern)?;
    Ok(Value::List(Arc::new(pattern.find_iter(&s).map(|found| text(found.as_str())).collect())))
}

/// Position of an item in a list, or of a substring (in characters); -1 if there is none.
fn index_of(This(this): This<Value>, wanted: Value) -> Result<i64, ExecutionError> {
    position("indexOf", &this, &wanted, |list, item| list.iter().position(|x| x == item), |s, part| s.find(part))
}

fn last_index_of(This(this): This<Value>, wanted: Value) -> Result<i64, ExecutionError> {
    position("lastIndexOf", &this, &wanted, |list, item| list.iter().rposition(|x| x == item), |s, part| s.rfind(part))
}

fn position(
    function: &str,
    this: &Value,
    wanted: &Value,
    in_list: impl Fn(&[Value], &Value) -> Option<usize>,
    in_text: impl Fn(&str, &str) -> Option<usize>,
) -> Result<i64, ExecutionError> {
    let found = match (this, wanted) {
        (Value::List(list), item) => in_list(list, item),
        (Value::String(s), Value::String(part)) => in_text(s, part).map(|at| s[..at].chars().count()),
        _ => return Err(ExecutionError::function_error(function, "wants a list, or two strings")),
    };
    Ok(found.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1))
}

fn substring(This(s): This<Text>, start: i64) -> Result<Value, ExecutionError> {
    let start = usize::try_from(start).map_err(|error| ExecutionError::function_error("substring", error))?;
    Ok(text(&s.chars().skip(start).collect::<String>()))
}

fn char_at(This(s): This<Text>, at: i64) -> Result<Value, ExecutionError> {
    let at = usize::try_from(at).map_err(|error| ExecutionError::function_error("charAt", error))?;
    Ok(text(&s.chars().nth(at).map(String::from).unwrap_or_default()))
}

fn is_sorted(This(list): This<List>) -> bool {
    list.windows(2).all(|pair| pair[0] <= pair[1])
}

fn sum(This(list): This<List>) -> Result<Value, ExecutionError> {
    list.iter().try_fold(Value::Int(0), |total, item| match (total, item) {
        (Value::Int(a), Value::Int(b)) => {
            a.checked_add(*b).map(Value::Int).ok_or_else(|| ExecutionError::function_error("sum", "overflow"))
        }
        (Value::Int(a), Value::Float(b)) => Ok(Value::Float(a as f64 + b)),
        (Value::Float(a), Value::Float(b)) => Ok(Value::Float(a + b)),
        _ => Err(ExecutionError::function_error("sum", "not a list of numbers")),
    })
}
