//! The node ports of Services: given out as an API server does it, and none that a program of this machine listens on.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::Resource;
use crate::errors::Cause;
use crate::object;
use crate::store::Store;

const RANGE: RangeInclusive<u16> = 30000..=32767;

/// Gives each port of a Service that is reached from outside a node port, the one it had before or a free one, and takes it
/// from those of other Services. Says what is wrong with the ports that were asked for.
pub(crate) fn allocate(store: &Store, resource: &Resource, object: &mut Value, old: Option<&Value>) -> Vec<Cause> {
    if &*resource.storage != "services" {
        return Vec::new();
    }
    let is_outside = matches!(object["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer"));
    let mut used = used_by_others(store, resource, object);
    let mut causes = Vec::new();
    let ports = object.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    for (index, port) in ports.into_iter().flatten().enumerate() {
        if !is_outside {
            let fields = port.as_object_mut();
            fields.and_then(|fields| fields.remove("nodePort"));
            continue;
        }
        let given = port["nodePort"].as_i64().filter(|number| *number != 0);
        let before = || before(port, old).filter(|number| !used.contains(number));
        let number = match given.map(|number| u16::try_from(number).ok().filter(|number| RANGE.contains(number))) {
            Some(Some(number)) if !used.contains(&number) => Some(number),
            Some(wrong) => {
                let why = match wrong {
                    Some(_) => "provided port is already allocated".to_owned(),
                    None => format!(
                        "provided port is not in the valid range. The range of valid ports is {}-{}",
                        RANGE.start(),
                        RANGE.end()
                    ),
                };
                let shown = given.unwrap_or_default().to_string();
                causes.push(Cause::invalid(format!("spec.ports[{index}].nodePort"), &shown, &why));
                continue;
            }
            None => before().or_else(|| free(&used)),
        };
        match number {
            Some(number) => {
                used.insert(number);
                port["nodePort"] = json!(number);
            }
            None => {
                causes.push(Cause::invalid(format!("spec.ports[{index}].nodePort"), "0", "all ports are allocated"))
            }
        }
    }
    causes
}

fn used_by_others(store: &Store, resource: &Resource, object: &Value) -> HashSet<u16> {
    let is_other = |service: &Value| {
        (object::name(service), object::namespace(service)) != (object::name(object), object::namespace(object))
    };
    let (services, _) = store.list(&resource.storage, None);
    let others = services.iter().filter(|service| is_other(service));
    others.flat_map(|service| node_ports(service)).collect()
}

fn node_ports(service: &Value) -> impl Iterator<Item = u16> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    ports.filter_map(|port| u16::try_from(port["nodePort"].as_u64()?).ok())
}

/// What the same port of the Service had before.
fn before(port: &Value, old: Option<&Value>) -> Option<u16> {
    let mut ports = old?["spec"]["ports"].as_array()?.iter();
    let same = |before: &&Value| before["port"] == port["port"] && before["protocol"] == port["protocol"];
    u16::try_from(ports.find(same)?["nodePort"].as_u64()?).ok()
}

/// One that nobody has, from a place in the range where no neighbour is likely to look.
fn free(used: &HashSet<u16>) -> Option<u16> {
    let from = rand::random_range(RANGE);
    let all = (from..=*RANGE.end()).chain(*RANGE.start()..from);
    let is_open = |number: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *number)).is_ok();
    all.filter(|number| !used.contains(number)).find(is_open)
}
