//! Lists in pages: each of one moment, as long as the history reaches back to it.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Api, CONFIG_MAPS, config_map};

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

/// A token as a query parameter.
fn token(list: &Value) -> String {
    list["metadata"]["continue"].as_str().unwrap().replace('+', "%2B").replace('=', "%3D")
}

async fn with_five() -> Api {
    let api = Api::new();
    for name in ["a", "b", "c", "d", "e"] {
        api.post(CONFIG_MAPS, &config_map(name)).await;
    }
    api
}

#[tokio::test]
async fn all_pages_are_of_the_moment_of_the_first() {
    let api = with_five().await;
    let (_, first) = api.get(&format!("{CONFIG_MAPS}?limit=2")).await;
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(3)));
    api.delete(&format!("{CONFIG_MAPS}/c")).await;
    api.post(CONFIG_MAPS, &config_map("cc")).await;
    api.merge(&format!("{CONFIG_MAPS}/d"), &json!({"data": {"k": "later"}})).await;
    let (_, second) = api.get(&format!("{CONFIG_MAPS}?limit=2&continue={}", token(&first))).await;
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second["items"][1]["data"]["k"], "v");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let (_, last) = api.get(&format!("{CONFIG_MAPS}?limit=2&continue={}", token(&second))).await;
    assert_eq!((names(&last), last["metadata"].get("continue")), (vec!["e"], None));
    let (_, now) = api.get(CONFIG_MAPS).await;
    assert_eq!(names(&now), ["a", "b", "cc", "d", "e"]);
}

#[tokio::test]
async fn selected_objects_fill_their_pages_and_are_not_counted() {
    let api = Api::new();
    for (index, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({"even": (index % 2 == 0).to_string()});
        api.post(CONFIG_MAPS, &object).await;
    }
    let (_, first) = api.get(&format!("{CONFIG_MAPS}?limit=2&labelSelector=even%3Dtrue")).await;
    assert_eq!((names(&first), first["metadata"].get("remainingItemCount")), (vec!["a", "c"], None));
    let (_, last) =
        api.get(&format!("{CONFIG_MAPS}?limit=2&labelSelector=even%3Dtrue&continue={}", token(&first))).await;
    assert_eq!(names(&last), ["e"]);
}

#[tokio::test]
async fn a_page_whose_moment_is_forgotten_gets_410_and_a_token_for_the_present_rest() {
    let api = with_five().await;
    let (_, first) = api.get(&format!("{CONFIG_MAPS}?limit=2")).await;
    for _ in 0..1100 {
        api.post(CONFIG_MAPS, &config_map("churn")).await;
        api.delete(&format!("{CONFIG_MAPS}/churn")).await;
    }
    api.delete(&format!("{CONFIG_MAPS}/c")).await;
    let (status, refused) = api.get(&format!("{CONFIG_MAPS}?limit=2&continue={}", token(&first))).await;
    assert_eq!((status, &refused["reason"]), (StatusCode::GONE, &json!("Expired")));
    let (_, rest) = api.get(&format!("{CONFIG_MAPS}?limit=2&continue={}", token(&refused))).await;
    assert_eq!(names(&rest), ["d", "e"]);
}

#[tokio::test]
async fn an_exact_earlier_version_can_be_listed() {
    let api = with_five().await;
    let (_, then) = api.get(CONFIG_MAPS).await;
    let version = then["metadata"]["resourceVersion"].as_str().unwrap();
    api.delete(&format!("{CONFIG_MAPS}/a")).await;
    let exact = format!("{CONFIG_MAPS}?resourceVersion={version}&resourceVersionMatch=Exact");
    let (_, again) = api.get(&exact).await;
    assert_eq!(again, then);
}
