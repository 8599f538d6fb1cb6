//! `limit` and `continue`: a list in pages, all of them of one moment.
//!
//! A token says of which version the list is and after which object it goes on. Later pages are taken from the history of
//! the collection; when that no longer reaches back, the answer is 410 with a token that goes on with the present state.

use std::borrow::Borrow;

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::params::Params;
use crate::errors::ApiError;
use crate::object;
use crate::resources::defaults::base64;

/// Which part of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// At most that many objects.
    limit: Option<usize>,
    after: Option<Token>,
}

/// From where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    /// The version of the whole list; `None` is whatever is now.
    version: Option<u64>,
    /// The last object of the page before: namespace and name.
    last: (String, String),
}

impl Page {
    pub fn of(params: &Params) -> Result<Self, ApiError> {
        let given = params.all.get("continue").filter(|token| !token.is_empty());
        let after = match given {
            Some(_) if !matches!(params.resource_version.as_str(), "" | "0") => {
                let message = "specifying resource version is not allowed when using continue";
                return Err(ApiError::bad_request(message));
            }
            Some(text) => Some(Token::parse(text).ok_or_else(|| {
                ApiError::bad_request("continue key is not valid: it is no token of an earlier page")
            })?),
            None => None,
        };
        let limit = params.number("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        // "Any version will do" is answered from a cache by real servers, which do not cut that into pages.
        let whole = after.is_none() && params.resource_version == "0";
        Ok(Self { limit: limit.filter(|_| !whole), after })
    }

    /// The version that the list is of, if its first page was before.
    pub fn version(&self) -> Option<u64> {
        self.after.as_ref()?.version
    }

    /// Whether `object` is beyond the pages before.
    pub fn has(&self, object: &Value) -> bool {
        let place = (object::namespace(object), object::name(object));
        self.after.as_ref().is_none_or(|token| place > (token.last.0.as_str(), token.last.1.as_str()))
    }

    /// The objects of this page out of all that are `left`, and the metadata of the list.
    pub fn cut<T: Borrow<Value>>(&self, mut left: Vec<T>, version: u64, counted: bool) -> (Vec<T>, Value) {
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if let Some(limit) = self.limit.filter(|limit| *limit < left.len()) {
            if counted {
                metadata["remainingItemCount"] = (left.len() - limit).into();
            }
            left.truncate(limit);
            let last: Option<&Value> = left.last().map(Borrow::borrow);
            let last = last.map(|object| (object::namespace(object).to_owned(), object::name(object).to_owned()));
            let token = Token { version: Some(version), last: last.unwrap_or_default() };
            metadata["continue"] = token.text().into();
        }
        (left, metadata)
    }

    /// The history no longer reaches back to the first page.
    pub fn expired(&self) -> ApiError {
        let last = self.after.as_ref().map(|token| token.last.clone()).unwrap_or_default();
        ApiError::continue_expired(Token { version: None, last }.text())
    }
}

impl Token {
    fn text(&self) -> String {
        base64(json!([self.version, self.last.0, self.last.1]).to_string().as_bytes())
    }

    fn parse(text: &str) -> Option<Self> {
        let ByteString(bytes) = serde_json::from_value(text.into()).ok()?;
        let (version, namespace, name) = serde_json::from_slice(&bytes).ok()?;
        Some(Self { version, last: (namespace, name) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Result<Page, ApiError> {
        Page::of(&Params::parse(&format!("/api/v1/pods?{query}").parse().unwrap()).unwrap())
    }

    fn objects(names: &[&str]) -> Vec<Value> {
        names.iter().map(|name| json!({"metadata": {"namespace": "n", "name": name}})).collect()
    }

    #[test]
    fn a_page_ends_with_a_token_that_the_next_begins_after() {
        let (first, metadata) = page("limit=2").unwrap().cut(objects(&["a", "b", "c"]), 7, true);
        assert_eq!((first.len(), &metadata["remainingItemCount"]), (2, &json!(1)));
        let token = metadata["continue"].as_str().unwrap().replace('=', "%3D").replace('+', "%2B");
        let second = page(&format!("limit=2&continue={token}")).unwrap();
        assert_eq!(second.version(), Some(7));
        let left: Vec<Value> = objects(&["a", "b", "c"]).into_iter().filter(|object| second.has(object)).collect();
        let (last, metadata) = second.cut(left, 7, true);
        assert_eq!((last, metadata), (objects(&["c"]), json!({"resourceVersion": "7"})));
    }

    #[test]
    fn a_list_that_fits_and_one_of_any_version_are_whole() {
        for query in ["limit=3", "limit=0", "", "limit=1&resourceVersion=0"] {
            let (all, metadata) = page(query).unwrap().cut(objects(&["a", "b", "c"]), 7, true);
            assert_eq!((all.len(), metadata.get("continue")), (3, None), "{query}");
        }
    }

    #[test]
    fn a_token_that_is_none_and_one_with_a_version_are_refused() {
        assert_eq!(page("continue=nonsense").unwrap_err().code, 400);
        let token = Token { version: None, last: ("n".to_owned(), "a".to_owned()) }.text().replace('=', "%3D");
        assert!(page(&format!("continue={token}")).is_ok());
        assert_eq!(page(&format!("continue={token}&resourceVersion=5")).unwrap_err().code, 400);
    }
}
