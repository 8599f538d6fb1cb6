//! The columns of a kind's table, as a definition's `additionalPrinterColumns` declare them.

use serde_json::Value;

/// One column of `kubectl get`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub name: String,
    /// An OpenAPI type: `string`, `integer`, `date`, …
    pub kind: String,
    pub format: String,
    pub description: String,
    /// 0 is always shown, above that only with `-o wide`.
    pub priority: i64,
    /// Where the cell's value is found in the object.
    pub path: String,
}

impl Column {
    pub fn parse(column: &Value) -> Self {
        let text = |field: &str| column[field].as_str().unwrap_or("").to_owned();
        Self {
            name: text("name"),
            kind: text("type"),
            format: text("format"),
            description: text("description"),
            priority: column["priority"].as_i64().unwrap_or(0),
            path: text("jsonPath"),
        }
    }

    /// The age that every kind shows when nothing else is declared.
    pub fn age() -> Self {
        Self {
            name: "Age".to_owned(),
            kind: "date".to_owned(),
            format: String::new(),
            description: "Time since the object was created".to_owned(),
            priority: 0,
            path: ".metadata.creationTimestamp".to_owned(),
        }
    }
}
