//! Fields of an instance's entry in the registry that say whom a client reaches, and where. No I/O.

use registry::{Instance, Value};
use rpc_wire::{DIRECT_FIELD, INSTANCE_FIELD};

/// Returns the address of the process alone, `host:port`, if its entry in the registry has one: the field
/// [`direct`](rpc_wire::DIRECT_FIELD). At its [`addr`](Instance::addr) any worker may answer.
#[must_use]
pub fn direct_addr(instance: &Instance) -> Option<String> {
    let direct = instance.get(DIRECT_FIELD)?;
    let host = direct.get("host").and_then(Value::as_str).filter(|host| !host.is_empty())?;
    let port = direct.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok())?;
    (port > 0).then(|| Instance::new(host, port).addr())
}

/// Returns the identity of the process, if its entry has one.
pub(super) fn identity(instance: &Instance) -> Option<&str> {
    instance.get(INSTANCE_FIELD).and_then(Value::as_str)
}

/// Returns what stays the same when a worker is replaced: its shared address, and its slot among the workers there.
pub(crate) fn place(instance: &Instance) -> String {
    match instance.get("slot").and_then(Value::as_u64) {
        Some(slot) => format!("{}#{slot}", instance.addr()),
        None => direct_addr(instance).unwrap_or_else(|| instance.addr()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_direct_address_that_is_none_is_ignored() {
        for direct in [
            json!(7),
            json!({}),
            json!({"host": "", "port": 1}),
            json!({"host": "a", "port": 0}),
            json!({"host": "a", "port": 65_536}),
        ] {
            let instance = Instance::new("a", 1).with(DIRECT_FIELD, direct.clone());
            assert_eq!(direct_addr(&instance), None, "{direct}");
        }
        let direct = json!({"host": "::1", "port": 7});
        assert_eq!(direct_addr(&Instance::new("a", 1).with(DIRECT_FIELD, direct)).unwrap(), "[::1]:7");
    }
}
