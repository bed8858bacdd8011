//! Further fields of an instance as labels: a map of strings to strings, as Java programs have beside an address. Pure.
//!
//! A string stays as it is, another value becomes its JSON. Of the named fields, numbers and tags are read back as such; what
//! else was no string comes back as one.

use serde_json::{Map, Value};

const NUMBERS: [&str; 3] = ["weight", "started_ms", "warm_up_ms"];
const TAGS: &str = "tags";

/// Writes a field as a label.
pub(super) fn to_label(key: &str, value: &Value) -> Value {
    match value {
        Value::String(_) | Value::Null => value.clone(),
        Value::Array(tags) if key == TAGS => joined(tags).unwrap_or_else(|| value.to_string()).into(),
        other => other.to_string().into(),
    }
}

/// Reads a field from a label.
pub(super) fn from_label(key: &str, label: Value) -> Value {
    let Value::String(text) = &label else { return label };
    if NUMBERS.contains(&key) {
        return number(text).map_or(label, Value::from);
    }
    if key == TAGS {
        return serde_json::from_str(text).ok().filter(Value::is_array).unwrap_or_else(|| split(text));
    }
    label
}

/// Writes fields as labels.
pub(super) fn to_labels<'a>(fields: impl Iterator<Item = (&'a str, &'a Value)>) -> Map<String, Value> {
    fields.map(|(key, value)| (key.to_owned(), to_label(key, value))).collect()
}

/// Reads a number as it is written here; others stay texts, so that nothing of them is lost.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// Joins tags with commas; `None` if splitting would not give them back.
fn joined(tags: &[Value]) -> Option<String> {
    let tags = tags.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
    let text = tags.join(",");
    (from_label(TAGS, text.as_str().into()) == Value::from(tags)).then_some(text)
}

fn split(text: &str) -> Value {
    text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn named_fields_come_back_from_their_labels_as_they_were() {
        for (key, value, label) in [
            ("zone", json!("a"), json!("a")),
            ("weight", json!(7), json!("7")),
            ("started_ms", json!(1_700_000_000_000_u64), json!("1700000000000")),
            ("tags", json!(["x", "y"]), json!("x,y")),
            ("tags", json!(["x,y", "z"]), json!(r#"["x,y","z"]"#)),
            ("tags", json!([""]), json!(r#"[""]"#)),
            ("tags", json!(["[1]"]), json!(r#"["[1]"]"#)),
            ("tags", json!([]), json!("")),
            ("tags", json!([1]), json!("[1]")),
        ] {
            assert_eq!(to_label(key, &value), label, "{key}");
            assert_eq!(from_label(key, label), value, "{key}");
        }
    }

    #[test]
    fn other_values_become_text_and_texts_that_are_no_such_number_stay() {
        assert_eq!(to_label("pid", &json!(4711)), json!("4711"));
        assert_eq!(from_label("pid", json!("4711")), json!("4711"));
        assert_eq!(to_label("nested", &json!({"a": [true]})), json!(r#"{"a":[true]}"#));
        for text in ["07", "+7", "1.5", "", "heavy"] {
            assert_eq!(from_label("weight", json!(text)), json!(text));
        }
        assert_eq!(from_label("tags", json!(" a, b ,")), json!(["a", "b"]));
    }
}
