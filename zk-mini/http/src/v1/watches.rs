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

/// Number of watches that are listed, unless the request says so.
const USUAL: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Path, or a pattern: `*` stands for any characters within one name, `/a/**` for everything below `/a`.
    path: Option<String>,
    /// Maximum number of watches; 10,000 unless set.
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
#[utoipa::path(get, path = "/watches", tag = "sessions", params(Which), responses(
    (status = 200, body = [Watch]), (status = 400, body = ErrorBody),
))]
async fn list(app: App, Query(which): Query<Which>) -> Result<Json<Vec<Watch>>, ApiError> {
    let glob = which.path.filter(|path| !path.is_empty()).map(|path| paths::glob(&path)).transpose()?;
    // There may be millions.
    let listed = blocking(move || {
        let watches = app.server.watches().into_iter();
        let matching = watches.filter(|watch| glob.as_ref().is_none_or(|glob| glob.matches(&watch.path)));
        Ok(matching.take(which.limit.unwrap_or(USUAL)).map(Watch::from).collect())
    });
    listed.await.map(Json)
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
