use serde_json::{Value, json};

use super::apply::apply;
use super::{Managers, Operation, Shape, Writer};
use crate::errors::ApiError;

const SHAPE: Shape<'static> = Shape::BuiltIn { parent: "", field: "" };

fn writer(manager: &str, operation: Operation) -> Writer {
    Writer { manager: manager.to_owned(), operation, api_version: "v1".to_owned(), subresource: String::new() }
}

fn applied(live: &Value, config: &Value, manager: &str, force: bool) -> Result<Value, ApiError> {
    let (mut merged, managers) = apply(live, config, SHAPE, &writer(manager, Operation::Apply), force)?;
    managers.write(&mut merged);
    Ok(merged)
}

fn content(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().remove("managedFields");
    object
}

#[test]
fn fields_an_applier_stops_sending_go_unless_another_owns_them() {
    let first = json!({"metadata": {"name": "p"}, "data": {"a": "1", "b": "2", "c": "3"}});
    let live = applied(&json!({"metadata": {"name": "p"}}), &first, "one", false).unwrap();
    let live = applied(&live, &json!({"data": {"b": "2"}}), "two", false).unwrap();
    let live = applied(&live, &json!({"data": {"a": "1"}}), "one", false).unwrap();
    assert_eq!(content(&live), json!({"metadata": {"name": "p"}, "data": {"a": "1", "b": "2"}}));
}

#[test]
fn a_map_all_of_whose_fields_go_goes_itself() {
    let live = applied(&json!({"metadata": {}}), &json!({"data": {"a": "1"}, "spec": {"x": {"y": 1}}}), "one", false);
    let live = applied(&live.unwrap(), &json!({"data": {"a": "1"}}), "one", false).unwrap();
    assert_eq!(content(&live), json!({"metadata": {}, "data": {"a": "1"}}));
}

#[test]
fn changing_a_field_of_another_manager_is_a_conflict_that_force_wins() {
    let live = applied(&json!({"metadata": {}}), &json!({"data": {"a": "1", "b": "1"}}), "one", false).unwrap();
    let config = json!({"data": {"a": "2"}});
    let error = applied(&live, &config, "two", false).unwrap_err();
    assert_eq!(error.code, 409);
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    let live = applied(&live, &config, "two", true).unwrap();
    assert_eq!(content(&live)["data"], json!({"a": "2", "b": "1"}));
    // Now "one" no longer owns it, and dropping it changes nothing.
    let live = applied(&live, &json!({"data": {"b": "1"}}), "one", false).unwrap();
    assert_eq!(content(&live)["data"], json!({"a": "2", "b": "1"}));
}

#[test]
fn the_same_value_is_shared_without_conflict() {
    let live = applied(&json!({"metadata": {}}), &json!({"data": {"a": "1"}}), "one", false).unwrap();
    let live = applied(&live, &json!({"data": {"a": "1"}}), "two", false).unwrap();
    let live = applied(&live, &json!({}), "one", false).unwrap();
    assert_eq!(content(&live)["data"], json!({"a": "1"}));
}

#[test]
fn an_update_takes_ownership_of_what_it_changed() {
    let live = applied(&json!({"metadata": {}}), &json!({"data": {"a": "1", "b": "1"}}), "one", false).unwrap();
    let mut edited = live.clone();
    edited["data"]["a"] = "9".into();
    let mut managers = Managers::of(&live);
    managers.record_update(&live, &edited, SHAPE, &writer("editor", Operation::Update));
    managers.write(&mut edited);
    let error = applied(&edited, &json!({"data": {"a": "1", "b": "1"}}), "one", false).unwrap_err();
    let expected = "Apply failed with 1 conflict: conflict with \"editor\" using v1 at ";
    assert!(error.message.starts_with(expected) && error.message.ends_with("Z: .data.a"), "{}", error.message);
}

#[test]
fn list_items_with_keys_are_owned_one_by_one() {
    let one = json!({"spec": {"containers": [{"name": "a", "image": "1", "ports": [{"containerPort": 80}]}]}});
    let live = applied(&json!({"metadata": {}}), &one, "one", false).unwrap();
    let two = json!({"spec": {"containers": [{"name": "b", "image": "2"}]}});
    let live = applied(&live, &two, "two", false).unwrap();
    let one = json!({"spec": {"containers": [{"name": "a", "image": "3"}]}});
    let live = applied(&live, &one, "one", false).unwrap();
    assert_eq!(
        content(&live)["spec"],
        json!({"containers": [{"name": "a", "image": "3"}, {"name": "b", "image": "2"}]})
    );
    let live = applied(&live, &json!({}), "one", false).unwrap();
    assert_eq!(content(&live)["spec"], json!({"containers": [{"name": "b", "image": "2"}]}));
    let fields = &live["metadata"]["managedFields"][0]["fieldsV1"];
    let expected = json!({"f:spec": {"f:containers": {"k:{\"name\":\"b\"}": {".": {}, "f:image": {}, "f:name": {}}}}});
    assert_eq!(*fields, expected);
}

#[test]
fn list_items_come_in_the_order_in_which_they_are_applied_and_those_of_others_keep_their_neighbours() {
    let pod = |names: &[&str]| json!({"spec": {"containers": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()}});
    let names = |live: &Value| -> Vec<String> {
        let containers = live["spec"]["containers"].as_array().unwrap();
        containers.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let live = applied(&json!({"metadata": {}}), &pod(&["a", "b", "c"]), "one", false).unwrap();
    let live = applied(&live, &pod(&["c", "new", "a"]), "one", false).unwrap();
    assert_eq!(names(&live), ["c", "new", "a"]);
    let live = applied(&live, &pod(&["x", "a", "y"]), "two", false).unwrap();
    let ours = applied(&live, &pod(&["a", "c"]), "one", false).unwrap();
    assert_eq!(names(&live), ["c", "new", "x", "a", "y"]);
    assert_eq!(names(&ours), ["x", "a", "y", "c"]);
}
