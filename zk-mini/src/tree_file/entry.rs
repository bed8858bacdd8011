//! Form of a node in a file.

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zk_wire::{Acl, Millis, Perms, SessionId, path};

use super::TreeNode;
use crate::core::NodeKind;

/// Letters of permissions, in the order of `zkCli.sh`.
const LETTERS: [(char, Perms); 5] = [
    ('c', Perms::CREATE),
    ('d', Perms::DELETE),
    ('r', Perms::READ),
    ('w', Perms::WRITE),
    ('a', Perms::ADMIN),
];

/// Path that can name a node.
#[derive(Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(try_from = "String")]
pub(super) struct Path(pub(super) String);

impl TryFrom<String> for Path {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match path::validate(&text) {
            Ok(()) => Ok(Self(text)),
            Err(error) => Err(format!("{text:?} cannot name a node: {error}")),
        }
    }
}

/// Node as it is written.
#[derive(Default, Deserialize, Serialize)]
#[serde(try_from = "Fields")]
pub(super) struct Entry {
    #[serde(flatten)]
    data: Data,
    #[serde(skip_serializing_if = "Option::is_none")]
    acl: Option<List>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<Ttl>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ephemeral_owner: Option<Owner>,
}

/// Data of a node.
#[derive(Default, Serialize)]
#[serde(untagged)]
enum Data {
    #[default]
    Empty,
    Text {
        data: String,
    },
    Base64 {
        base64: Binary,
    },
    Null {
        data: (),
    },
}

/// Fields of a node as they are read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, deserialize_with = "given")]
    data: Option<Option<String>>,
    base64: Option<Binary>,
    acl: Option<List>,
    kind: Option<Kind>,
    ttl_ms: Option<Ttl>,
    ephemeral_owner: Option<Owner>,
}

/// Tells a null from a field that is missing.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl TryFrom<Fields> for Entry {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let Fields { data, base64, acl, kind, ttl_ms, ephemeral_owner } = fields;
        let data = match (data, base64) {
            (Some(_), Some(_)) => return Err("a node has either `data` or `base64`, not both"),
            (Some(Some(data)), None) => Data::Text { data },
            (Some(None), None) => Data::Null { data: () },
            (None, Some(base64)) => Data::Base64 { base64 },
            (None, None) => Data::Empty,
        };
        let kinds = [kind.is_some(), ttl_ms.is_some(), ephemeral_owner.is_some()];
        if kinds.iter().filter(|given| **given).count() > 1 {
            return Err("a node has only one of `kind`, `ttl_ms` and `ephemeral_owner`");
        }
        Ok(Self { data, acl, kind, ttl_ms, ephemeral_owner })
    }
}

impl From<&TreeNode> for Entry {
    fn from(node: &TreeNode) -> Self {
        let is_plain = |text: &str| text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{feff}'));
        let data = match &node.data {
            None => Data::Null { data: () },
            Some(data) if data.is_empty() => Data::Empty,
            Some(data) => match std::str::from_utf8(data) {
                Ok(text) if is_plain(text) => Data::Text { data: text.into() },
                _ => Data::Base64 { base64: Binary(data.clone()) },
            },
        };
        let acl = (node.acl != [Acl::open()]).then(|| List(node.acl.clone()));
        let mut entry = Self { data, acl, ..Self::default() };
        match node.kind {
            NodeKind::Persistent => {}
            NodeKind::Container => entry.kind = Some(Kind::Container),
            NodeKind::Ttl(ttl) => entry.ttl_ms = Some(Ttl(ttl.0)),
            NodeKind::Ephemeral(owner) => entry.ephemeral_owner = Some(Owner(owner)),
        }
        entry
    }
}

impl From<Entry> for TreeNode {
    fn from(entry: Entry) -> Self {
        let data = match entry.data {
            Data::Null { .. } => None,
            Data::Empty => Some(Bytes::new()),
            Data::Text { data } => Some(data.into()),
            Data::Base64 { base64 } => Some(base64.0),
        };
        let acl = entry.acl.map_or_else(|| vec![Acl::open()], |list| list.0);
        let kind = match (entry.kind, entry.ttl_ms, entry.ephemeral_owner) {
            (Some(Kind::Container), ..) => NodeKind::Container,
            (_, Some(ttl), _) => NodeKind::Ttl(Millis(ttl.0)),
            (.., Some(owner)) => NodeKind::Ephemeral(owner.0),
            _ => NodeKind::Persistent,
        };
        Self { data, acl, kind }
    }
}

/// Data that are not text.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Binary(Bytes);

impl TryFrom<String> for Binary {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let decoded = BASE64_STANDARD.decode(text.split_whitespace().collect::<String>());
        decoded.map(|data| Self(data.into())).map_err(|error| format!("not base64: {error}"))
    }
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

/// Kinds that need no more than a name.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
enum Kind {
    Persistent,
    Container,
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match &*text {
            "persistent" => Ok(Self::Persistent),
            "container" => Ok(Self::Container),
            _ => Err(format!(
                "unknown kind {text:?}: `persistent` or `container`; other nodes have `ttl_ms` or `ephemeral_owner`"
            )),
        }
    }
}

/// Time to live in milliseconds.
#[derive(Deserialize, Serialize)]
#[serde(try_from = "u64")]
struct Ttl(u64);

impl TryFrom<u64> for Ttl {
    type Error = String;

    fn try_from(ttl: u64) -> Result<Self, String> {
        if (1..=NodeKind::MAX_TTL.0).contains(&ttl) {
            Ok(Self(ttl))
        } else {
            Err(format!("a time to live is at least 1 and at most {} milliseconds", NodeKind::MAX_TTL.0))
        }
    }
}

/// Session that owns an ephemeral node.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Owner(SessionId);

impl TryFrom<String> for Owner {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let id = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).filter(|id| *id != 0);
        id.map(|id| Self(SessionId(id.cast_signed())))
            .ok_or_else(|| format!("{text:?} is no session: its id in hexadecimal, as `\"0x1000…\"`"))
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Access control list with at least one entry.
#[derive(Deserialize)]
#[serde(try_from = "Vec<AclText>")]
struct List(Vec<Acl>);

impl TryFrom<Vec<AclText>> for List {
    type Error = &'static str;

    fn try_from(entries: Vec<AclText>) -> Result<Self, Self::Error> {
        if entries.is_empty() {
            return Err("a list has at least one entry, as `world:anyone:cdrwa`");
        }
        Ok(Self(entries.into_iter().map(|entry| entry.0).collect()))
    }
}

impl Serialize for List {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(text_of))
    }
}

/// Entry as `scheme:id:permissions`; the id may have colons.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct AclText(Acl);

impl TryFrom<String> for AclText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once(':')?)));
        let Some((scheme, (id, perms))) = parts else {
            return Err(format!(
                "{text:?} is no entry: it has the form scheme:id:permissions, as `world:anyone:cdrwa`"
            ));
        };
        let letter = |letter| LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, perms)| *perms);
        let all = match perms.parse::<i32>() {
            // Bits that have no letter.
            Ok(bits) => Some(Perms(bits)),
            Err(_) => perms.chars().try_fold(Perms(0), |all, next| Some(all | letter(next)?)),
        };
        let perms = all.ok_or_else(|| {
            format!("{perms:?} in {text:?} are no permissions: letters of `cdrwa` (create, delete, read, write, admin)")
        })?;
        Ok(Self(Acl { perms, scheme: scheme.into(), id: id.into() }))
    }
}

fn text_of(entry: &Acl) -> String {
    let perms = if entry.perms.0 & !Perms::ALL.0 == 0 {
        LETTERS
            .iter()
            .filter(|(_, perms)| entry.perms.intersects(*perms))
            .map(|(letter, _)| *letter)
            .collect()
    } else {
        entry.perms.0.to_string()
    };
    format!("{}:{}:{perms}", entry.scheme, entry.id)
}
