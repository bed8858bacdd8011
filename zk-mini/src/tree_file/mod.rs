//! Trees as files that people read and write: YAML or JSON. With the feature `tree-files`.

mod entry;
mod json;
mod load;

use std::collections::BTreeMap;

use bytes::Bytes;
use zk_wire::Acl;

use crate::core::{Core, ImageNode, NodeKind, SYSTEM_NODES};
use crate::handle::Snapshot;
use entry::{Entry, Path};

pub use load::Loaded;

/// Nodes as a value that a file can hold, in YAML or in JSON.
///
/// A file maps paths to nodes. Parents that are not in it are made, empty and open, and so is everything that a node does not
/// say:
///
/// ```yaml
/// /services/echo/a:
///   data: 127.0.0.1:8080                  # text
/// /config/key:
///   base64: AAEC/w==                      # data that are not text
///   acl: [world:anyone:r, digest:ops:2jmj7l5rSw0yVb/vlWAYkK/YBwk=:cdrwa]
/// /empty:
/// /null: {data: null}                     # null data, which ZooKeeper keeps apart from empty ones
/// /queue: {kind: container}
/// /lease: {ttl_ms: 5000}
/// /leader: {data: me, ephemeral_owner: 0x100000000000001}
/// ```
///
/// Permissions are the letters of `zkCli.sh`: create, delete, read, write, admin. An ephemeral node is saved with its owner, and
/// left out when the file is loaded: no server has that session.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zk_mini::{TreeFile, ZkMini};
///
/// let zk = ZkMini::start().await?;
/// let file = TreeFile::parse("/services/echo/a: {data: '127.0.0.1:8080'}")?;
/// zk.load(&file).await?;
/// assert_eq!(zk.children("/services/echo").unwrap(), ["a"]);
/// assert!(zk.tree_file().to_yaml()?.contains("/services/echo/a:"));
///
/// let error = TreeFile::parse("/a:\n  dat: x").unwrap_err();
/// assert_eq!((error.line, error.column), (2, 3));
/// assert!(error.message.contains("unknown field `dat`, expected one of data, base64, acl"), "{error}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TreeFile {
    /// Nodes by path, so that parents come before their children.
    pub nodes: BTreeMap<String, TreeNode>,
}

/// Node of a [`TreeFile`].
#[derive(Clone, Debug, PartialEq)]
pub struct TreeNode {
    /// Data of the node; `None` is null.
    pub data: Option<Bytes>,
    /// Access control list.
    pub acl: Vec<Acl>,
    /// Kind of node.
    pub kind: NodeKind,
}

impl Default for TreeNode {
    /// Returns a persistent node with empty data and an open ACL.
    fn default() -> Self {
        Self { data: Some(Bytes::new()), acl: vec![Acl::open()], kind: NodeKind::Persistent }
    }
}

/// Reason why text is not a tree.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct TreeFileError {
    /// Line of the fault, from 1; 0 if it is not known.
    pub line: u64,
    /// Column of the fault, from 1; 0 if it is not known.
    pub column: u64,
    /// Description of the fault, and of what is allowed.
    pub message: String,
}

impl TreeFile {
    /// Reads a tree from YAML or JSON.
    ///
    /// # Errors
    /// [`TreeFileError`] with the place, the field and what is allowed: unknown fields, and paths that are there twice, are
    /// errors, too.
    pub fn parse(text: &str) -> Result<Self, TreeFileError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let node = |(Path(path), entry): (Path, Option<Entry>)| {
            (path, entry.map_or_else(TreeNode::default, TreeNode::from))
        };
        let nodes = if text.trim_start().starts_with('{') {
            json::parse(text).or_else(|json| yaml(text).map_err(|yaml| farther(json, yaml)))?
        } else {
            yaml(text)?
        };
        Ok(Self { nodes: nodes.into_iter().map(node).collect() })
    }

    /// Returns the tree as YAML.
    ///
    /// # Errors
    /// [`TreeFileError`] with the reason of the writer, if it has one.
    pub fn to_yaml(&self) -> Result<String, TreeFileError> {
        if self.nodes.is_empty() {
            return Ok(String::new());
        }
        serde_saphyr::to_string(&self.entries()).map_err(|error| unwritten(&error))
    }

    /// Returns the tree as JSON, indented.
    ///
    /// # Errors
    /// [`TreeFileError`] with the reason of the writer, if it has one.
    pub fn to_json(&self) -> Result<String, TreeFileError> {
        serde_json::to_string_pretty(&self.entries()).map_err(|error| unwritten(&error))
    }

    fn entries(&self) -> BTreeMap<&str, Entry> {
        self.nodes.iter().map(|(path, node)| (&**path, Entry::from(node))).collect()
    }
}

/// Takes all nodes of a snapshot but those of the system, as far as they are as in an empty server.
impl From<&Snapshot> for TreeFile {
    fn from(snapshot: &Snapshot) -> Self {
        Self::of(snapshot.nodes())
    }
}

impl From<&Core> for TreeFile {
    fn from(core: &Core) -> Self {
        Self::of(&core.image().nodes)
    }
}

impl TreeFile {
    /// Returns the tree of these nodes, without the server's own that are empty.
    fn of(nodes: &[ImageNode]) -> Self {
        let is_plain = |node: &&ImageNode| {
            let is_system = SYSTEM_NODES.contains(&&*node.path);
            !is_system || node.data.as_ref().is_some_and(|data| !data.is_empty())
        };
        let node = |node: &ImageNode| {
            let acl = node.acl.to_vec();
            (String::from(&*node.path), TreeNode { data: node.data.clone(), acl, kind: node.kind })
        };
        Self { nodes: nodes.iter().filter(is_plain).map(node).collect() }
    }
}

/// Returns the error to tell of a mapping in braces that is neither. YAML takes more, such as numbers for text, so its error counts,
/// unless YAML has stumbled over a path that is too long for it, and JSON has come farther.
fn farther(json: TreeFileError, yaml: TreeFileError) -> TreeFileError {
    let is_of_syntax = yaml.message.starts_with("while parsing");
    if is_of_syntax && (json.line, json.column) > (yaml.line, yaml.column) { json } else { yaml }
}

/// Returns the nodes of a text that is YAML.
fn yaml(text: &str) -> Result<BTreeMap<Path, Option<Entry>>, TreeFileError> {
    // A large tree is no attack; aliases, which could grow, keep their limits.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: 20_000_000, max_events: 100_000_000, max_total_scalar_bytes: 2 << 30 },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        let (line, column) = error.location().map_or((0, 0), |place| (place.line(), place.column()));
        let text = error.to_string();
        // The place is told once.
        let place = format!(" at line {line}, column {column}");
        let text = text.strip_suffix(&place).unwrap_or(&text);
        TreeFileError { line, column, message: in_words_of_files(text) }
    })
}

/// Says what a reader of a file understands: the parser speaks of its own terms and options.
fn in_words_of_files(text: &str) -> String {
    match text {
        "expected mapping start" => {
            return "a file maps paths to nodes, and a node is a mapping, as in `/a: {data: text}`".into();
        }
        // There is no other list in a file.
        "expected sequence start" => {
            return "an `acl` is a list of texts, as in `acl: ['world:anyone:cdrwa']`".into();
        }
        "expected string scalar" => {
            return "there is a list or a mapping in place of a text; an `acl` is a list of texts, as in \
                    `acl: ['world:anyone:cdrwa']`"
                .into();
        }
        _ if text.contains("from_str_multiple") => {
            return "a file is one document of YAML, and `---` begins a second one".into();
        }
        _ => {}
    }
    match text
        .strip_prefix("duplicate mapping key: ")
        .and_then(|rest| rest.split_once(", set DuplicateKeyPolicy"))
    {
        Some((key, _)) => format!("{key} is there twice"),
        None => text.into(),
    }
}

fn unwritten(error: &dyn std::error::Error) -> TreeFileError {
    TreeFileError { line: 0, column: 0, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zk_wire::{Millis, Perms, SessionId};

    use super::*;

    fn acl() -> impl Strategy<Value = Acl> {
        let named = prop::sample::select(vec![
            ("world", "anyone"),
            ("digest", "user:hash="),
            ("ip", "fe80::1/64"),
            ("auth", ""),
        ]);
        (0..64_i32, named).prop_map(|(perms, (scheme, id))| Acl {
            perms: Perms(perms),
            scheme: scheme.into(),
            id: id.into(),
        })
    }

    fn node() -> impl Strategy<Value = TreeNode> {
        let text =
            prop_oneof![any::<String>(), "[ -~]{0,200}", "(true|null|~|0x1|1e3|- a|: b|#|  x  |\n\n|a\nb)"];
        let data = prop_oneof![
            text.prop_map(|text| Some(Bytes::from(text))),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|data| Some(Bytes::from(data))),
            Just(None),
        ];
        let kind = prop_oneof![
            Just(NodeKind::Persistent),
            Just(NodeKind::Container),
            (1..1_000_000_u64).prop_map(|ttl| NodeKind::Ttl(Millis(ttl))),
            any::<i64>()
                .prop_filter("0 is no session", |id| *id != 0)
                .prop_map(|id| NodeKind::Ephemeral(SessionId(id))),
        ];
        (data, prop::collection::vec(acl(), 1..3), kind).prop_map(|(data, acl, kind)| TreeNode {
            data,
            acl,
            kind,
        })
    }

    proptest! {
        #[test]
        fn a_tree_is_read_as_it_was_written(
            nodes in prop::collection::btree_map(
                prop_oneof![
                    4 => "/[a-z:#\"' é-]{1,8}(/[a-z0-9]{1,3})?",
                    1 => "/[a-z:#\"' é-]{1000,1500}(/[a-z0-9]{1,3})?",
                ],
                node(),
                0..6,
            ),
        ) {
            let tree = TreeFile { nodes };
            let yaml = tree.to_yaml().unwrap();
            prop_assert_eq!(&TreeFile::parse(&yaml).map_err(|error| format!("{error}\n{yaml}")), &Ok(tree.clone()));
            let json = tree.to_json().unwrap();
            prop_assert_eq!(&TreeFile::parse(&json).map_err(|error| format!("{error}\n{json}")), &Ok(tree));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = TreeFile::parse(&text);
        }
    }

    #[test]
    fn a_mapping_in_braces_need_not_be_json() {
        let tree = TreeFile::parse("{\"/a\": {\"data\": 10}, '/b': {data: x}}").unwrap();
        assert_eq!(tree.nodes["/a"].data.as_deref(), Some(&b"10"[..]));
        assert_eq!(tree.nodes["/b"].data.as_deref(), Some(&b"x"[..]));
    }

    #[test]
    fn errors_name_the_place_and_what_is_allowed() {
        for (text, line, says) in [
            ("/a:\n  dat: x", 2, "expected one of data, base64, acl, kind, ttl_ms, ephemeral_owner"),
            ("/a:\n  data: x\n  base64: eA==", 0, "either `data` or `base64`"),
            ("/a:\n  base64: '***'", 2, "base64"),
            ("/a: {}\na/b: {}", 2, "\"a/b\" cannot name a node: path does not begin"),
            ("/a: {}\n/a: {}", 2, "/a is there twice"),
            ("/a: text", 1, "a node is a mapping, as in `/a: {data: text}`"),
            ("[1]", 1, "a file maps paths to nodes"),
            ("/a:\n  acl: [world:anyone:xyz]", 2, "letters of `cdrwa`"),
            ("/a:\n  acl: [world]", 2, "scheme:id:permissions"),
            ("/a:\n  acl: []", 2, "at least one entry"),
            ("/a:\n  kind: sometimes", 2, "`persistent` or `container`"),
            ("/a:\n  kind: container\n  ttl_ms: 5", 0, "only one of"),
            ("/a:\n  ttl_ms: 0", 2, "at least 1"),
            ("/a:\n  ephemeral_owner: me", 2, "0x"),
            ("- a", 1, "map"),
            ("{\"/a\": {\"data\": \"x\",}", 1, ""),
            ("{\"/a\": {},\n\"/a\": {}}", 2, "/a is there twice"),
            ("{\"/a\":\n{\"dat\": \"x\"}}", 2, "expected one of data, base64, acl"),
            ("{\"/a\":\n\"text\"}", 2, "a node is a mapping"),
            ("{\"a/b\": {}}", 1, "cannot name a node"),
            (&format!("{{\"/{}\":\n{{\"data\": {{}}}}}}", "a".repeat(2000)), 2, "expected a string"),
        ] {
            let error = TreeFile::parse(text).expect_err(text);
            let is_right = error.message.contains(says) && (line == 0 || error.line == line);
            assert!(is_right, "{text:?}: {error}");
        }
    }
}
