//! Create, read, update and delete over the router, with their preconditions and errors.

use crate::support::{Api, CONFIG_MAPS, config_map};
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn an_object_is_created_read_updated_and_deleted() {
    let api = Api::new();
    let (status, created) = api.post(CONFIG_MAPS, &config_map("a")).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(created["metadata"]["namespace"], "default");
    assert!(created["metadata"]["uid"].is_string() && created["metadata"]["creationTimestamp"].is_string());
    let path = format!("{CONFIG_MAPS}/a");
    assert_eq!(api.get(&path).await, (StatusCode::OK, created.clone()));
    let mut changed = created.clone();
    changed["data"]["k"] = "w".into();
    let (status, updated) = api.put(&path, &changed).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(updated["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    assert_eq!(updated["data"], json!({"k": "w"}));
    let (status, deleted) = api.delete(&path).await;
    assert_eq!((status, &deleted["status"]), (StatusCode::OK, &json!("Success")));
    let (status, missing) = api.get(&path).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(missing["message"], "configmaps \"a\" not found");
    assert_eq!(missing["reason"], "NotFound");
    assert_eq!(missing["details"], json!({"name": "a", "kind": "configmaps"}));
}

#[tokio::test]
async fn a_stale_update_is_a_conflict_and_a_blind_one_is_not() {
    let api = Api::new();
    let (_, created) = api.post(CONFIG_MAPS, &config_map("a")).await;
    let path = format!("{CONFIG_MAPS}/a");
    let (status, _) = api.merge(&path, &json!({"data": {"x": "y"}})).await;
    assert_eq!(status, StatusCode::OK);
    let mut stale = created.clone();
    stale["data"]["k"] = "w".into();
    let (status, error) = api.put(&path, &stale).await;
    assert_eq!((status, &error["reason"]), (StatusCode::CONFLICT, &json!("Conflict")));
    stale["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    assert_eq!(api.put(&path, &stale).await.0, StatusCode::OK);
    stale["metadata"]["uid"] = "another".into();
    let (status, error) = api.put(&path, &stale).await;
    assert_eq!(status, StatusCode::CONFLICT, "{error}");
}

#[tokio::test]
async fn a_write_that_changes_nothing_keeps_the_version() {
    let api = Api::new();
    let (_, created) = api.post(CONFIG_MAPS, &config_map("a")).await;
    let (_, same) = api.merge(&format!("{CONFIG_MAPS}/a"), &json!({"data": {"k": "v"}})).await;
    assert_eq!(same, created);
}

#[tokio::test]
async fn bad_requests_are_refused_with_their_reason() {
    let api = Api::new();
    let (status, error) = api.post(CONFIG_MAPS, &config_map("Bad_Name")).await;
    assert_eq!((status, &error["reason"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("Invalid")));
    assert_eq!(error["details"]["causes"][0]["field"], "metadata.name");
    let (status, error) = api.post("/api/v1/namespaces/nowhere/configmaps", &config_map("a")).await;
    assert_eq!(
        (status, error["message"].as_str().unwrap()),
        (StatusCode::NOT_FOUND, "namespaces \"nowhere\" not found")
    );
    api.post(CONFIG_MAPS, &config_map("a")).await;
    let (status, error) = api.post(CONFIG_MAPS, &config_map("a")).await;
    assert_eq!((status, &error["reason"]), (StatusCode::CONFLICT, &json!("AlreadyExists")));
    let (status, _) =
        api.send(http::Method::POST, CONFIG_MAPS, "application/vnd.kubernetes.protobuf", &json!({})).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (status, _) = api.send(http::Method::POST, CONFIG_MAPS, "application/json", &json!([1])).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let mut huge = config_map("huge");
    huge["data"]["k"] = "x".repeat(4 << 20).into();
    let (status, _) = api.post(CONFIG_MAPS, &huge).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, _) = api.get("/api/v1/namespaces/default/nothings").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let strict = format!("{CONFIG_MAPS}?fieldValidation=Strict");
    let mut unknown = config_map("b");
    unknown["dta"] = json!({});
    let (status, error) = api.post(&strict, &unknown).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(error["message"], "strict decoding error: unknown field \"dta\"");
}

#[tokio::test]
async fn shapeless_objects_of_every_kind_are_no_crash() {
    let api = Api::new();
    for path in ["/api/v1/namespaces/default/pods", "/apis/apps/v1/namespaces/default/statefulsets"] {
        for spec in [json!(null), json!(7), json!([]), json!({}), json!({"template": [], "containers": {}, "ports": 3})]
        {
            let (status, body) = api.post(path, &json!({"metadata": {"name": "x"}, "spec": spec})).await;
            assert!(status.is_client_error(), "{path} {spec} {body}");
        }
    }
    let (status, _) = api.post("/api/v1/namespaces/default/services", &json!({"metadata": 3, "spec": []})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn objects_cannot_nest_without_end() {
    let api = Api::new();
    let (_, created) = api.post(CONFIG_MAPS, &config_map("a")).await;
    let deeper = json!({"op": "copy", "from": "/metadata", "path": "/metadata/annotations"});
    let patch: Vec<_> = std::iter::repeat_n(deeper, 105).collect();
    let path = format!("{CONFIG_MAPS}/a");
    let (status, error) = api.send(http::Method::PATCH, &path, "application/json-patch+json", &patch.into()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{error}");
    assert_eq!(api.get(&path).await.1, created);
}

#[tokio::test]
async fn generated_names_are_made_and_dry_runs_change_nothing() {
    let api = Api::new();
    let object = json!({"metadata": {"generateName": "job-"}});
    let (status, created) = api.post(CONFIG_MAPS, &object).await;
    assert_eq!(status, StatusCode::CREATED);
    let name = created["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("job-") && name.len() == 9, "{name}");
    let (status, _) = api.post(&format!("{CONFIG_MAPS}?dryRun=All"), &config_map("ghost")).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(api.get(&format!("{CONFIG_MAPS}/ghost")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn lists_are_selected_by_labels_and_fields() {
    let api = Api::new();
    for (name, tier) in [("a", "db"), ("b", "web"), ("c", "db")] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({"tier": tier});
        api.post(CONFIG_MAPS, &object).await;
    }
    let names = async |query: &str| {
        let (status, list) = api.get(&format!("{CONFIG_MAPS}?{query}")).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(list["kind"], "ConfigMapList");
        let items = list["items"].as_array().unwrap();
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("labelSelector=tier%3Ddb").await, ["a", "c"]);
    assert_eq!(names("labelSelector=tier+notin+(db)").await, ["b"]);
    assert_eq!(names("fieldSelector=metadata.name%3Dc").await, ["c"]);
    let (status, _) = api.get(&format!("{CONFIG_MAPS}?fieldSelector=data.k%3Dv")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn spec_changes_bump_the_generation_and_status_changes_do_not() {
    let api = Api::new();
    let sets = "/apis/apps/v1/namespaces/default/statefulsets";
    let set = json!({"metadata": {"name": "s"}, "status": {"replicas": 9}, "spec": {
        "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let (status, created) = api.post(sets, &set).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    assert_eq!((&created["metadata"]["generation"], &created["status"]["replicas"]), (&json!(1), &json!(0)));
    let path = format!("{sets}/s");
    let (_, set) = api.merge(&path, &json!({"spec": {"replicas": 3}, "status": {"replicas": 5}})).await;
    assert_eq!((&set["metadata"]["generation"], &set["status"]["replicas"]), (&json!(2), &json!(0)));
    let status_patch = json!({"spec": {"replicas": 7}, "status": {"replicas": 3}});
    let (_, set) = api.merge(&format!("{path}/status"), &status_patch).await;
    assert_eq!((&set["metadata"]["generation"], &set["status"]["replicas"]), (&json!(2), &json!(3)));
    assert_eq!(set["spec"]["replicas"], 3);
    let (status, scale) = api.merge(&format!("{path}/scale"), &json!({"spec": {"replicas": 5}})).await;
    assert_eq!(
        (status, &scale["spec"]["replicas"], &scale["status"]["selector"]),
        (StatusCode::OK, &json!(5), &json!("a=b"))
    );
    let (status, error) = api.merge(&path, &json!({"spec": {"serviceName": "other"}})).await;
    assert_eq!(
        (status, &error["details"]["causes"][0]["reason"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("FieldValueForbidden"))
    );
}
