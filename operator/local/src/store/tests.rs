use serde_json::json;

use super::collection::HISTORY;
use super::*;

fn key(name: &str) -> Key {
    Key { storage: Arc::from("configmaps"), namespace: "default".to_owned(), name: name.to_owned() }
}

fn object(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "default"}, "data": {"k": "v"}})
}

#[test]
fn a_write_at_a_stale_version_is_refused() {
    let store = Store::open(None).unwrap();
    let first = store.create(&key("a"), object("a")).unwrap();
    let version = object::version(&first);
    let second = store.replace(&key("a"), version, object("a")).unwrap();
    assert_eq!(object::version(&second), version + 1);
    assert!(matches!(store.replace(&key("a"), version, object("a")), Err(Error::Changed)));
    assert!(matches!(store.remove(&key("a"), version), Err(Error::Changed)));
    assert!(matches!(store.create(&key("a"), object("a")), Err(Error::Exists)));
    assert!(matches!(store.remove(&key("b"), 1), Err(Error::Absent)));
}

#[test]
fn a_watcher_of_forgotten_history_is_told_so() {
    let store = Store::open(None).unwrap();
    let storage: Storage = Arc::from("configmaps");
    let start = store.list(&Arc::from("configmaps"), None).1;
    let mut version = object::version(&store.create(&key("a"), object("a")).unwrap());
    assert_eq!(store.changes(&storage, start).unwrap().0.len(), 1);
    for _ in 0..HISTORY {
        version = object::version(&store.replace(&key("a"), version, object("a")).unwrap());
    }
    assert_eq!(store.changes(&storage, start).unwrap_err(), Compacted { oldest: start + 1 });
    let (changes, now) = store.changes(&storage, version - 3).unwrap();
    assert_eq!(changes.iter().map(|c| c.version).collect::<Vec<_>>(), [version - 2, version - 1, version]);
    assert_eq!(now, version);
}

#[test]
fn objects_and_the_counter_survive_a_restart_and_a_torn_line() {
    let dir = tempfile::tempdir().unwrap();
    let version = {
        let store = Store::open(Some(dir.path())).unwrap();
        store.create(&key("a"), object("a")).unwrap();
        let b = store.create(&key("b"), object("b")).unwrap();
        store.remove(&key("b"), object::version(&b)).unwrap();
        store.list(&Arc::from("configmaps"), None).1
    };
    let path = dir.path().join("journal");
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend_from_slice(b"{\"version\": 99, \"stor");
    std::fs::write(&path, torn).unwrap();

    let store = Store::open(Some(dir.path())).unwrap();
    assert_eq!(store.list(&Arc::from("configmaps"), None).1, version);
    assert!(store.get(&key("a")).is_some());
    assert!(store.get(&key("b")).is_none());
    store.create(&key("c"), object("c")).unwrap();
    drop(store);
    assert!(Store::open(Some(dir.path())).unwrap().get(&key("c")).is_some());
}

#[test]
fn a_journal_of_many_writes_is_compacted_and_still_loads() {
    let dir = tempfile::tempdir().unwrap();
    let version = {
        let store = Store::open(Some(dir.path())).unwrap();
        let mut version = object::version(&store.create(&key("a"), object("a")).unwrap());
        for _ in 0..5000 {
            version = object::version(&store.replace(&key("a"), version, object("a")).unwrap());
        }
        version
    };
    let lines = std::fs::read_to_string(dir.path().join("journal")).unwrap().lines().count();
    assert!(lines < 2000, "{lines} lines");
    let store = Store::open(Some(dir.path())).unwrap();
    assert_eq!(object::version(&store.get(&key("a")).unwrap()), version);
}

#[test]
fn two_servers_cannot_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Store::open(Some(dir.path())).unwrap();
    assert!(matches!(Store::open(Some(dir.path())), Err(Error::Journal(JournalError::InUse(_)))));
}
