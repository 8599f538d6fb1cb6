//! The table of APIs in `docs/compatibility.md`: what a broker advertises, beside what a real Kafka does.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use ottla_protocol::ApiKey;

/// What stands before the table and after it.
const BEGIN: &str = "<!-- apis: written by `just compatibility` -->\n";
const END: &str = "<!-- apis: end -->\n";

/// The recorded answer of Kafka 4.3.1.
const KAFKA: &str = include_str!("../../oracle/api-versions.json");

/// The versions of one API.
struct Row {
    name: String,
    ours: Option<RangeInclusive<i16>>,
    theirs: Option<RangeInclusive<i16>>,
}

/// Holds the table in the page to what is advertised, or writes it there with `OTTLA_PAGES=write`.
pub fn check(advertised: &BTreeMap<ApiKey, RangeInclusive<i16>>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has a place for the table");
    let (found, after) = rest.split_once(END).expect("the table has an end");
    let table = table(advertised);
    if std::env::var("OTTLA_PAGES").is_ok_and(|what| what == "write") {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert!(
        found == table,
        "docs/compatibility.md is stale: `just compatibility` writes its tables; APIs are now\n{table}"
    );
}

fn table(advertised: &BTreeMap<ApiKey, RangeInclusive<i16>>) -> String {
    let recorded: serde_json::Value = serde_json::from_str(KAFKA).unwrap();
    let number = |api: &serde_json::Value, key: &str| i16::try_from(api[key].as_i64().unwrap()).unwrap();
    // By number: Kafka has APIs that Ottla has no name for.
    let mut rows: BTreeMap<i16, Row> = BTreeMap::new();
    for api in recorded["api_keys"].as_array().unwrap() {
        let theirs = Some(number(api, "min")..=number(api, "max"));
        let row = Row { name: api["name"].as_str().unwrap().to_owned(), ours: None, theirs };
        rows.insert(number(api, "key"), row);
    }
    for (key, ours) in advertised {
        let row = || Row { name: key.to_string(), ours: None, theirs: None };
        rows.entry(key.number()).or_insert_with(row).ours = Some(ours.clone());
    }
    let mut table = "| key | API | Ottla | Kafka 4.3.1 |\n|---|---|---|---|\n".to_owned();
    for (key, Row { name, ours, theirs }) in rows {
        table += &format!("| {key} | {name} | {} | {} |\n", versions(ours), versions(theirs));
    }
    table
}

fn versions(range: Option<RangeInclusive<i16>>) -> String {
    match range.map(RangeInclusive::into_inner) {
        None => "—".to_owned(),
        Some((start, end)) if start == end => start.to_string(),
        Some((start, end)) => format!("{start}–{end}"),
    }
}
