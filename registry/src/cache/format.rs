//! Contents of a file with the members of a service. Pure.
//!
//! The first line has the format, its version and a checksum of the rest. The second line is a JSON object, [`Head`]. Each
//! line after it is a member: its id as a JSON string, a tab, and its JSON object.

use std::str;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::instance::Instance;
use crate::members::{InstanceId, Members};

const FORMAT: &str = "zk-registry-members";
const VERSION: &str = "1";

/// Node that the members are of.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Origin {
    pub(super) servers: Vec<String>,
    /// Path of the service's node, with the chroot.
    pub(super) path: String,
    pub(super) codec: String,
}

impl Origin {
    /// Returns true if both name the same node. An ensemble that grows or moves keeps at least one server at a time.
    fn is_that_of(&self, other: &Self) -> bool {
        let is_common = self.servers.iter().any(|server| other.servers.contains(server));
        is_common && self.path == other.path && self.codec == other.codec
    }
}

#[derive(Deserialize, Serialize)]
struct Head {
    #[serde(flatten)]
    origin: Origin,
    /// Time at which the registry had these members, in milliseconds since 1970.
    confirmed_ms: u64,
}

/// Reason why a file has no members for us.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Defect {
    #[error("it is no list of members")]
    Format,
    #[error("it is of version {0:?} of the format, which this version of the program does not know")]
    Version(String),
    #[error("it is damaged: its checksum is wrong")]
    Checksum,
    #[error("it is damaged: {0}")]
    Broken(String),
    #[error("it is of {} in format {} at {}", .0.path, .0.codec, .0.servers.join(","))]
    Foreign(Box<Origin>),
}

/// Returns the file for these members. Skipped nodes are not in it, nor is an instance that is none as JSON.
pub(super) fn encode(origin: &Origin, members: &Members, confirmed_ms: u64) -> Vec<u8> {
    let mut lines = json(&Head { origin: origin.clone(), confirmed_ms });
    for (id, instance) in &members.instances {
        let Ok(instance) = instance.to_json() else { continue };
        lines.push(b'\n');
        lines.extend(json(id.as_str()));
        lines.push(b'\t');
        lines.extend(instance);
    }
    lines.push(b'\n');
    let mut file = format!("{FORMAT} {VERSION} {:016x}\n", checksum(&lines)).into_bytes();
    file.extend(lines);
    file
}

/// Reads a file: members that are stale, with the time of their confirmation.
pub(super) fn decode(origin: &Origin, file: &[u8]) -> Result<Members, Defect> {
    let (first, lines) = split(file, b'\n').ok_or(Defect::Format)?;
    let first: Vec<_> = str::from_utf8(first).map_err(|_| Defect::Format)?.split(' ').collect();
    let stated = match first[..] {
        [FORMAT, VERSION, stated] => stated,
        [FORMAT, version, ..] => return Err(Defect::Version(version.chars().take(20).collect())),
        _ => return Err(Defect::Format),
    };
    if u64::from_str_radix(stated, 16) != Ok(checksum(lines)) {
        return Err(Defect::Checksum);
    }
    let (head, lines) = split(lines, b'\n').ok_or_else(|| Defect::Broken("no head".to_owned()))?;
    let head: Head = serde_json::from_slice(head).map_err(|error| Defect::Broken(error.to_string()))?;
    if !head.origin.is_that_of(origin) {
        return Err(Defect::Foreign(Box::new(head.origin)));
    }
    let lines = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let instances = lines.map(member).collect::<Result<_, _>>()?;
    Ok(Members { instances, stale: true, cached: Some(head.confirmed_ms), ..Members::default() })
}

fn member(line: &[u8]) -> Result<(InstanceId, Arc<Instance>), Defect> {
    let (id, instance) =
        split(line, b'\t').ok_or_else(|| Defect::Broken("a member without an id".to_owned()))?;
    let id: String = serde_json::from_slice(id).map_err(|error| Defect::Broken(error.to_string()))?;
    let instance = Instance::from_json(instance).map_err(|error| Defect::Broken(error.to_string()))?;
    Ok((id.as_str().into(), Arc::new(instance)))
}

/// Writes values that are always JSON: strings, numbers and lists of them.
fn json(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|&byte| byte == at)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}

fn checksum(lines: &[u8]) -> u64 {
    Hash::new().add(lines).finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin() -> Origin {
        let servers = ["zk1:2181", "zk2:2181"].map(str::to_owned).to_vec();
        Origin { servers, path: "/production/demo".to_owned(), codec: "Json".to_owned() }
    }

    fn any_members() -> impl Strategy<Value = Members> {
        let instance =
            (1u16.., any::<String>()).prop_map(|(port, text)| Instance::new("a", port).with("text", text));
        proptest::collection::btree_map(
            any::<String>().prop_map(|id| id.as_str().into()),
            instance.prop_map(Arc::new),
            0..5,
        )
        .prop_map(|instances| Members { instances, ..Members::default() })
    }

    #[test]
    fn the_format_is_this_text() {
        let members =
            [("a-1".into(), Arc::new(Instance::new("10.0.0.1", 80).with("zone", "b")))].into_iter().collect();
        let text = String::from_utf8(encode(&origin(), &members, 7)).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "zk-registry-members 1 a736f3ff0c94d637");
        assert_eq!(
            lines[1..],
            [
                r#"{"servers":["zk1:2181","zk2:2181"],"path":"/production/demo","codec":"Json","confirmed_ms":7}"#,
                "\"a-1\"\t{\"host\":\"10.0.0.1\",\"port\":80,\"zone\":\"b\"}",
            ]
        );
    }

    #[test]
    fn a_file_of_other_servers_or_of_another_service_is_foreign() {
        let file = encode(&origin(), &Members::default(), 7);
        let moved = Origin { servers: vec!["zk2:2181".into(), "zk3:2181".into()], ..origin() };
        assert!(decode(&moved, &file).is_ok(), "one server in common");
        for other in [
            Origin { servers: vec!["zk1.test:2181".into()], ..origin() },
            Origin { path: "/test/demo".into(), ..origin() },
            Origin { codec: "Curator".into(), ..origin() },
        ] {
            assert_eq!(decode(&other, &file), Err(Defect::Foreign(Box::new(origin()))));
        }
        let said = Defect::Foreign(Box::new(origin())).to_string();
        assert_eq!(said, "it is of /production/demo in format Json at zk1:2181,zk2:2181");
    }

    #[test]
    fn a_later_version_is_named() {
        let later =
            String::from_utf8(encode(&origin(), &Members::default(), 7)).unwrap().replacen(" 1 ", " 2 ", 1);
        assert_eq!(decode(&origin(), later.as_bytes()), Err(Defect::Version("2".to_owned())));
        assert_eq!(decode(&origin(), b""), Err(Defect::Format));
        assert_eq!(decode(&origin(), b"[default]\nregion = eu\n"), Err(Defect::Format));
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(members in any_members(), confirmed in any::<u64>()) {
            let read = decode(&origin(), &encode(&origin(), &members, confirmed));
            prop_assert_eq!(read, Ok(Members { stale: true, cached: Some(confirmed), ..members }));
        }

        #[test]
        fn damage_is_noticed(members in any_members(), at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<bool>()) {
            let mut file = encode(&origin(), &members, 7);
            let at = at.index(file.len());
            if cut { file.truncate(at) } else { file[at] ^= 1u8 << bit }
            // Another spelling of the same checksum is no damage.
            let same = decode(&origin(), &encode(&origin(), &members, 7));
            prop_assert!(decode(&origin(), &file).is_err() || decode(&origin(), &file) == same);
        }

        #[test]
        fn no_file_makes_it_panic(file in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(decode(&origin(), &file).is_err());
        }
    }
}
