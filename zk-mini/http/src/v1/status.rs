//! `GET /v1/status`.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::extract::Json;
use crate::hex::Hex;
use crate::v1::API;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(status))
}

/// Figures of the server.
#[derive(Serialize, ToSchema)]
struct Status {
    /// Version of this API: a client refuses a higher one.
    api: u32,
    /// Zxid of the last transaction.
    last_zxid: Hex,
    /// Number of nodes, with the system's.
    nodes: usize,
    /// Number of live sessions.
    sessions: usize,
    /// Number of ZooKeeper connections.
    connections: usize,
    /// Number of watches.
    watches: usize,
    /// `real`, or `manual` if time moves only by `POST /v1/clock`.
    clock: &'static str,
}

/// Figures of the server.
#[utoipa::path(get, path = "/status", responses((status = 200, body = Status)))]
async fn status(app: App) -> Json<Status> {
    let status = app.server.status();
    Json(Status {
        api: API,
        last_zxid: status.last_zxid.into(),
        nodes: status.nodes,
        sessions: status.sessions,
        connections: status.connections,
        watches: status.watches,
        clock: if status.clock_held { "manual" } else { "real" },
    })
}
