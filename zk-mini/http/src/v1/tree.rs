//! `GET /v1/tree`.

use axum::response::{IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::{NoSubtree, NodeKind, Reach, SubtreeNode};

use crate::app::App;
use crate::blocking::blocking;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Query};
use crate::hex::Hex;
use crate::v1::stat::Stat;

/// Maximum number of levels below the node in an answer. Each takes an object and a list, and parsers of JSON bound their nesting,
/// some to 128.
const MAX_LEVELS: usize = 60;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(tree))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Path of the node; `/` unless given.
    #[serde(default = "root")]
    #[param(default = "/")]
    path: String,
    /// Number of levels below the node; 0 is the node alone.
    #[serde(default = "one")]
    #[param(default = 1)]
    depth: u64,
    /// Transaction after which to show the tree; the present unless given.
    zxid: Option<Hex>,
    /// False leaves the data out, however large: `encoding` is `omitted` then.
    #[serde(default = "yes")]
    #[param(default = true)]
    data: bool,
    /// True answers `null` with status 200 if there is no such node: to browsers every 404 is an error to complain of.
    #[serde(default)]
    #[param(default = false)]
    optional: bool,
}

fn root() -> String {
    "/".into()
}

fn one() -> u64 {
    1
}

fn yes() -> bool {
    true
}

/// A node, with the nodes below it down to the depth.
#[derive(Debug, Serialize, ToSchema)]
struct Node {
    #[schema(example = "/services/echo")]
    path: String,
    /// Last component of the path; `/` for the root.
    #[schema(example = "echo")]
    name: String,
    /// Data as text: as it is, or in Base64, as `encoding` says.
    data: Option<String>,
    /// `utf8`, `base64` for data that are no UTF-8, or `null`, which is not the same as empty; `omitted` if they were not wanted.
    encoding: &'static str,
    /// `persistent`, `ephemeral`, `container` or `ttl`.
    kind: &'static str,
    /// Time to live, of a node of that kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    /// Number of watches on this path, now.
    watches: usize,
    stat: Stat,
    /// Children, sorted by name; empty at the last level, whatever `numChildren` is.
    #[schema(no_recursion)]
    children: Vec<Self>,
}

/// A node and the nodes below it, now or as they were, at one moment.
#[utoipa::path(
    get,
    path = "/tree",
    tag = "nodes",
    params(Wanted),
    responses(
        (status = 200, body = Node),
        (status = 400, description = "bad path, depth or zxid, or the answer would be too large", body = ErrorBody),
        (status = 404, description = "there is no such node, or was none", body = ErrorBody),
        (status = 409, description = "the server records no history", body = ErrorBody),
        (status = 410, description = "the history does not reach back to the zxid", body = ErrorBody),
    )
)]
async fn tree(app: App, Query(wanted): Query<Wanted>) -> Result<Response, ApiError> {
    // A large answer takes a while to write, and others are waiting.
    blocking(move || {
        let Wanted { path, depth, zxid, data, optional } = wanted;
        let mut reach = Reach { depth: usize::try_from(depth).unwrap_or(usize::MAX), ..Reach::default() };
        if !data {
            reach.bytes = usize::MAX;
        }
        let subtree = match zxid {
            Some(zxid) => app.server.subtree_at(zxid.into(), &path, &reach),
            None => app.server.subtree(&path, &reach),
        };
        let subtree = match subtree {
            Err(NoSubtree::NoNode { .. } | NoSubtree::NoNodeThen { .. }) if optional => {
                return Ok(Json(None::<Node>).into_response());
            }
            subtree => subtree?,
        };
        if subtree.nodes.iter().any(|node| node.depth > MAX_LEVELS) {
            return Err(ApiError::bad_request(format!(
                "{path} has nodes more than {MAX_LEVELS} levels below it: depth may be {MAX_LEVELS} there"
            )));
        }
        let nested = nested(subtree.nodes, data);
        let node = nested.ok_or_else(|| ApiError::internal(format!("{path} has no node")))?;
        Ok(Json(node).into_response())
    })
    .await
}

/// Puts nodes, each followed by those below it, into each other.
fn nested(nodes: Vec<SubtreeNode>, with_data: bool) -> Option<Node> {
    // From the end, all that is below a node is complete before the node.
    let mut complete: Vec<(usize, Node)> = Vec::new();
    for mut node in nodes.into_iter().rev() {
        let depth = node.depth;
        if !with_data {
            // Before it is made text.
            node.data = None;
        }
        let mut node = Node::from(node);
        if !with_data {
            node.encoding = "omitted";
        }
        while complete.last().is_some_and(|(level, _)| *level == depth + 1) {
            node.children.extend(complete.pop().map(|(_, child)| child));
        }
        complete.push((depth, node));
    }
    complete.pop().map(|(_, node)| node)
}

impl From<SubtreeNode> for Node {
    fn from(node: SubtreeNode) -> Self {
        let (data, encoding) = text_of(node.data.as_ref());
        let (kind, ttl_ms) = match node.kind {
            NodeKind::Persistent => ("persistent", None),
            NodeKind::Ephemeral(_) => ("ephemeral", None),
            NodeKind::Container => ("container", None),
            NodeKind::Ttl(ttl) => ("ttl", Some(ttl.0)),
        };
        let path = node.path.to_string();
        let name = match path.rsplit_once('/') {
            Some((_, name)) if !name.is_empty() => name.into(),
            _ => path.clone(),
        };
        let (stat, watches) = (Stat::from(node.stat), node.watches);
        Self { path, name, data, encoding, kind, ttl_ms, watches, stat, children: Vec::new() }
    }
}

/// Returns data as text, and how it is written.
pub(super) fn text_of(data: Option<&Bytes>) -> (Option<String>, &'static str) {
    let Some(data) = data else { return (None, "null") };
    match std::str::from_utf8(data) {
        Ok(text) => (Some(text.into()), "utf8"),
        Err(_) => (Some(BASE64_STANDARD.encode(data)), "base64"),
    }
}

impl From<NoSubtree> for ApiError {
    fn from(error: NoSubtree) -> Self {
        let message = error.to_string();
        match error {
            NoSubtree::NoNode { .. } | NoSubtree::NoNodeThen { .. } => Self::not_found(message),
            NoSubtree::NotKept(why) => Self::from(why),
            _ => Self::bad_request(message),
        }
    }
}
