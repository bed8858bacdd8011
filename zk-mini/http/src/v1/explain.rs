//! Explanation of a node: who created, changed and deleted it, and why.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::history::NodeChange;
use zk_wire::Utc;

use crate::app::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Query};
use crate::hex::Hex;
use crate::v1::paths;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(explain))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Path of the node, present or gone.
    path: Option<String>,
}

/// Explanation of a node.
#[derive(Serialize, ToSchema)]
struct Explanation {
    /// Path of the node.
    path: String,
    /// True if there is such a node now.
    exists: bool,
    /// Changes of this node, oldest first, as far as the history reaches. Those of its children are not among them.
    history: Vec<ExplainedChange>,
    /// True if earlier changes may have been pushed out of the history.
    is_cut: bool,
}

/// Change of a node.
#[derive(Serialize, ToSchema)]
struct ExplainedChange {
    /// Transaction that made it.
    zxid: Hex,
    /// Wall-clock time, by ISO 8601, in UTC.
    #[schema(example = "2026-11-28T09:41:07.120Z")]
    time: String,
    /// `created`, `changed` or `deleted`.
    what: &'static str,
    /// Session that asked for it; the one that has ended, if the node went with its session.
    session: Option<Hex>,
    /// Address of the client.
    client: Option<String>,
    /// Number that the client gave to its request.
    xid: Option<i32>,
    /// Reason, as a sentence whose subject is the node.
    because: String,
}

/// Explanation of a node: who created, changed and deleted it, and why.
#[utoipa::path(get, path = "/explain", tag = "history", params(Which), responses(
    (status = 200, body = Explanation, description = "also for a path that nobody knows"), (status = 400, body = ErrorBody),
))]
async fn explain(app: App, Query(which): Query<Which>) -> Result<Json<Explanation>, ApiError> {
    let Some(path) = which.path else {
        return Err(ApiError::bad_request("the parameter `path` is missing: /v1/explain?path=/x"));
    };
    paths::check(&path)?;
    let explanation = app.server.explain(&path);
    let history = explanation.changes.into_iter().map(ExplainedChange::from).collect();
    Ok(Json(Explanation { path, exists: explanation.exists, history, is_cut: explanation.is_cut }))
}

impl From<NodeChange> for ExplainedChange {
    fn from(change: NodeChange) -> Self {
        Self {
            zxid: change.zxid.into(),
            time: format!("{:#}", Utc(change.time)),
            what: change.what.name(),
            session: change.session.map(Hex::from),
            client: change.client.map(|client| client.to_string()),
            xid: change.xid.map(|xid| xid.0),
            because: change.because,
        }
    }
}
