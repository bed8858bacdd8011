//! Random JSON for the properties of codecs.

use proptest::prelude::*;
use serde_json::Value;

/// Returns any JSON, small, with names that mean something in a format.
pub(super) fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9,]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(name(), inner, 0..6).prop_map(Value::from_iter),
        ]
    })
}

/// Returns an object of strings and nulls.
pub(super) fn labels() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[0-9]{1,3}",
        ".{0,6}",
        proptest::sample::select(vec![
            "UP",
            "up",
            "STARTING",
            "OUT_OF_SERVICE",
            "MAINTENANCE",
            "down",
            "draining"
        ])
        .prop_map(str::to_owned),
    ];
    let label = proptest::option::of(text).prop_map(Value::from);
    proptest::collection::hash_map(name(), label, 0..6).prop_map(Value::from_iter)
}

fn name() -> impl Strategy<Value = String> {
    let meant = [
        "address",
        "port",
        "sslPort",
        "payload",
        "enabled",
        "status",
        "tags",
        "weight",
        "metadata",
        "curator",
        "instance_status",
        "fields",
        "@class",
        "host",
    ];
    prop_oneof!["[a-z]{0,4}", proptest::sample::select(meant.to_vec()).prop_map(str::to_owned)]
}
