//! Watches of clients.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::{WatchInfo, WatchKind};

use crate::app::App;
use crate::blocking::blocking;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Query};
use crate::hex::Hex;
use crate::v1::paths;

/// Maximum number of watches in an answer, unless the request sets one.
const MOST: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Path, or a pattern: `*` stands for any characters within one name, `/a/**` for everything below `/a`.
    path: Option<String>,
    /// Maximum number of watches, of which the first by path are listed; unless set, more than 10,000 are an error.
    limit: Option<usize>,
}

/// Watch of a client.
#[derive(Serialize, ToSchema)]
struct Watch {
    /// Watched path; the node need not exist.
    path: String,
    /// `data` or `children` for one event, `persistent` or `recursive` until it is removed.
    kind: &'static str,
    /// Session that is told; null for a watch whose connection has no session any more.
    session: Option<Hex>,
    /// Connection that is told.
    connection: Hex,
}

/// Watches of clients, sorted by path.
#[utoipa::path(
    get, path = "/watches", operation_id = "list_watches", tag = "sessions",
    params(Which), responses(
    (status = 200, body = [Watch]),
    (status = 400, description = "bad pattern, or the answer would be too large", body = ErrorBody),
))]
async fn list(app: App, Query(which): Query<Which>) -> Result<Json<Vec<Watch>>, ApiError> {
    let glob = which.path.filter(|path| !path.is_empty()).map(|path| paths::glob(&path)).transpose()?;
    // There may be millions.
    let listed = blocking(move || {
        let watches = app.server.watches().into_iter();
        let matching = watches.filter(|watch| glob.as_ref().is_none_or(|glob| glob.matches(&watch.path)));
        let Some(limit) = which.limit else { return all(matching) };
        Ok(matching.take(limit).map(Watch::from).collect())
    });
    listed.await.map(Json)
}

/// Lists all watches: a list that is cut, and does not say so, would hide a leak.
fn all(watches: impl Iterator<Item = WatchInfo>) -> Result<Vec<Watch>, ApiError> {
    let all: Vec<_> = watches.collect();
    if all.len() > MOST {
        return Err(ApiError::bad_request(format!(
            "there are {} such watches, and an answer has at most {MOST}: narrow them down with path, or take the first ones with limit",
            all.len()
        )));
    }
    Ok(all.into_iter().map(Watch::from).collect())
}

impl From<WatchInfo> for Watch {
    fn from(watch: WatchInfo) -> Self {
        Self {
            path: watch.path.to_string(),
            kind: match watch.kind {
                WatchKind::Data => "data",
                WatchKind::Children => "children",
                WatchKind::Persistent => "persistent",
                WatchKind::Recursive => "recursive",
            },
            session: watch.session.map(Hex::from),
            connection: watch.conn.into(),
        }
    }
}
