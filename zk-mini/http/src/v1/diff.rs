//! `GET /v1/diff`: what changed in the tree between two moments.

use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::history::{NotKept, PastNode, PastTree};

use crate::app::App;
use crate::blocking::blocking;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Query};
use crate::hex::Hex;
use crate::v1::tree::text_of;

/// Number of changes in an answer, unless the request says so.
const USUAL: usize = 1000;

/// Maximum number of bytes of data in an answer.
const MAX_BYTES: usize = 4 << 20;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(diff))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Transaction after which the tree was as it was before.
    from: Hex,
    /// Transaction after which it was as it was afterwards; the last one unless given.
    to: Option<Hex>,
    /// Maximum number of changes; 1,000 unless given.
    limit: Option<usize>,
}

/// Changes of the tree between two moments.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Diff {
    /// Nodes that are not the same, sorted by path.
    changes: Vec<Difference>,
    /// Number of further ones.
    more: usize,
}

/// Node that is not the same at both moments.
#[derive(Debug, Serialize, ToSchema)]
struct Difference {
    path: String,
    /// `created`, `changed` (its data or its ACL was set), `replaced` (another node has its path) or `deleted`.
    what: &'static str,
    before: Option<Side>,
    after: Option<Side>,
}

/// Data of a node at one of the moments.
#[derive(Debug, Serialize, ToSchema)]
struct Side {
    data: Option<String>,
    /// `utf8`, `base64`, `null`, or `omitted` if the answer would be too large.
    encoding: &'static str,
}

/// Changes of the tree between two moments.
#[utoipa::path(
    get,
    path = "/diff",
    tag = "nodes",
    params(Wanted),
    responses(
        (status = 200, body = Diff),
        (status = 400, description = "bad zxid, or one that is still to come", body = ErrorBody),
        (status = 409, description = "the server records no history", body = ErrorBody),
        (status = 410, description = "the history does not reach back to a zxid", body = ErrorBody),
    )
)]
async fn diff(app: App, Query(wanted): Query<Wanted>) -> Result<Response, ApiError> {
    blocking(move || {
        let to = wanted.to.map_or_else(|| app.server.last_zxid(), Into::into);
        let (before, after) = (app.server.tree_at(wanted.from.into())?, app.server.tree_at(to)?);
        Ok(Json(compare(&before, &after, wanted.limit.unwrap_or(USUAL))).into_response())
    })
    .await
}

fn compare(before: &PastTree, after: &PastTree, limit: usize) -> Diff {
    let gone = before
        .walk()
        .filter(|(path, _)| after.get(path).is_none())
        .map(|(path, node)| (path, Some(node), None));
    let present = after.walk().map(|(path, node)| (path, before.get(path), Some(node)));
    let mut pairs: Vec<_> =
        gone.chain(present).filter_map(|(path, was, is)| Some((path, what(was, is)?, was, is))).collect();
    pairs.sort_unstable_by_key(|(path, ..)| *path);
    let more = pairs.len().saturating_sub(limit);
    pairs.truncate(limit);
    let mut left = MAX_BYTES;
    let changes = pairs.into_iter().map(|(path, what, was, is)| Difference {
        path: path.to_owned(),
        what,
        before: was.map(|node| Side::of(node, &mut left)),
        after: is.map(|node| Side::of(node, &mut left)),
    });
    Diff { changes: changes.collect(), more }
}

/// Returns what has happened to a node; `None` if nothing.
fn what(was: Option<&PastNode>, is: Option<&PastNode>) -> Option<&'static str> {
    match (was, is) {
        (None, Some(_)) => Some("created"),
        (Some(_), None) => Some("deleted"),
        (Some(was), Some(is)) if was.stat.czxid != is.stat.czxid => Some("replaced"),
        (Some(was), Some(is)) if was.stat.mzxid != is.stat.mzxid || was.acl != is.acl => Some("changed"),
        _ => None,
    }
}

impl Side {
    /// Returns the data of a node, if so many bytes are left.
    fn of(node: &PastNode, left: &mut usize) -> Self {
        let size = node.data.as_ref().map_or(0, bytes::Bytes::len);
        let Some(rest) = left.checked_sub(size) else { return Self { data: None, encoding: "omitted" } };
        *left = rest;
        let (data, encoding) = text_of(node.data.as_ref());
        Self { data, encoding }
    }
}

impl From<NotKept> for ApiError {
    fn from(error: NotKept) -> Self {
        match error {
            NotKept::TooOld { asked, oldest } => {
                let (asked, oldest) = (Hex::from(asked), Hex::from(oldest));
                Self::gone(format!(
                    "the tree after transaction {asked} is no longer known: {oldest} is the oldest that can be asked for"
                ))
            }
            NotKept::NotRecorded => {
                Self::conflict("this server records no history: only the present tree can be shown")
            }
            _ => Self::bad_request(error.to_string()),
        }
    }
}
