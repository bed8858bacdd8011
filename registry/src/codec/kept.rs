//! Data of another client that an [`Instance`] has no field for: one field, named after the format, keeps them. So they are
//! written again, should the instance be published again. Pure.

use serde_json::{Map, Value};

use crate::instance::Instance;

/// Fields by their names.
pub(super) type Fields = Map<String, Value>;

/// Returns a copy of what the instance keeps for a format.
pub(super) fn of(instance: &Instance, format: &str) -> Fields {
    instance.get(format).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Keeps these fields for a format; without a field the instance stays as it is.
pub(super) fn keep(instance: Instance, format: &str, kept: Fields) -> Instance {
    if kept.is_empty() { instance } else { instance.with(format, kept) }
}

/// Splits fields into those of names that an instance may have, and those whose names mean something else there.
pub(super) fn split(fields: Fields, reserved: &[&str]) -> (Fields, Fields) {
    fields.into_iter().partition(|(key, _)| !reserved.contains(&key.as_str()))
}

/// Adds the fields whose names are not there yet.
pub(super) fn fill(fields: &mut Fields, more: Fields) {
    for (key, value) in more {
        fields.entry(key).or_insert(value);
    }
}

/// Takes an object out of an object; anything else stays.
pub(super) fn take_object(fields: &mut Fields, key: &str) -> Option<Fields> {
    match fields.remove(key) {
        Some(Value::Object(object)) => Some(object),
        Some(other) => {
            fields.insert(key.to_owned(), other);
            None
        }
        None => None,
    }
}
