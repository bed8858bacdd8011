//! Claims: what a process says that it believes. Pure.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// One belief of a process, from one line of its standard output.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Claim {
    /// `{"registered": true}`: its instance can be found, or cannot.
    Registered(bool),
    /// `{"members": ["alpha"]}`: the instances of the service.
    Members(BTreeSet<String>),
    /// `{"held": true}`: it holds the lock, or leads, or does not.
    Held(bool),
}

impl Claim {
    /// Reads a line; `None` for one that is no claim, such as the line of a log.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(line) else { return None };
        let flag = |key: &str| fields.get(key).and_then(Value::as_bool);
        if let Some(registered) = flag("registered") {
            return Some(Self::Registered(registered));
        }
        if let Some(held) = flag("held") {
            return Some(Self::Held(held));
        }
        let names = fields.get("members")?.as_array()?.iter();
        names.map(|name| name.as_str().map(String::from)).collect::<Option<_>>().map(Self::Members)
    }
}

/// Choices of what to look for among the claims of a process.
impl Claim {
    pub(crate) fn registered(&self) -> Option<bool> {
        if let Self::Registered(registered) = self { Some(*registered) } else { None }
    }

    pub(crate) fn held(&self) -> Option<bool> {
        if let Self::Held(held) = self { Some(*held) } else { None }
    }

    pub(crate) fn members(&self) -> Option<BTreeSet<String>> {
        if let Self::Members(names) = self { Some(names.clone()) } else { None }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered(true) => f.write_str("registered"),
            Self::Registered(false) => f.write_str("not registered"),
            Self::Held(true) => f.write_str("held"),
            Self::Held(false) => f.write_str("not held"),
            Self::Members(names) if names.is_empty() => f.write_str("no members"),
            Self::Members(names) => {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                write!(f, "members {}", names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_claim_or_noise() {
        let parse = |line: &str| Claim::parse(line.as_bytes());
        assert_eq!(parse(r#"{"registered": true, "node": "/a/b"}"#), Some(Claim::Registered(true)));
        assert_eq!(parse(r#"{"held":false}"#), Some(Claim::Held(false)));
        let members = Claim::Members(["b".into(), "a".into()].into());
        assert_eq!(parse(r#"{"members": ["a", "b", "a"]}"#), Some(members));
        assert_eq!(parse(r#"{"members": []}"#), Some(Claim::Members(BTreeSet::new())));
        for noise in
            ["", "INFO connected", "[]", "{}", r#"{"held": 1}"#, r#"{"members": [1]}"#, "{\"held\": tr"]
        {
            assert_eq!(parse(noise), None, "{noise}");
        }
    }

    #[test]
    fn a_claim_reads_like_a_sentence() {
        assert_eq!(Claim::Members(["b".into(), "a".into()].into()).to_string(), "members a, b");
        assert_eq!(Claim::Members(BTreeSet::new()).to_string(), "no members");
    }
}
