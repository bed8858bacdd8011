//! `GET /v1/status`.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::{Compat, Handle};

use crate::app::App;
use crate::extract::Json;
use crate::hex::Hex;
use crate::v1::API;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(status))
}

/// Figures of the server.
#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    /// Version of this API: a client refuses a higher one.
    #[schema(example = 1)]
    api: u32,
    /// Version of zk-mini.
    version: &'static str,
    /// Release line of ZooKeeper that the server is like.
    #[schema(example = "3.9")]
    compat: &'static str,
    /// Zxid of the last transaction.
    last_zxid: Hex,
    /// Number of nodes, with the system's.
    nodes: usize,
    /// Number of live sessions.
    sessions: usize,
    /// Number of ZooKeeper connections.
    connections: usize,
    /// Number of watches: pairs of connection and path.
    watches: usize,
    /// `real`, or `manual` if time moves only by `POST /v1/clock`.
    clock: &'static str,
    /// Number of servers.
    servers: usize,
    /// Number of the server that was asked, from 1; not there if that is a single one.
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<usize>,
    /// True after `POST /v1/freeze`, until `POST /v1/thaw`.
    frozen: bool,
    /// True if the server is down: it takes no ZooKeeper connections.
    down: bool,
    /// True if the disk is lost: every write is refused until it is back.
    read_only: bool,
}

impl Status {
    pub(super) fn of(server: &Handle) -> Self {
        let status = server.status();
        Self {
            api: API,
            version: zk_mini::VERSION,
            compat: match status.compat {
                Compat::V3_8 => "3.8",
                Compat::V3_9 => "3.9",
            },
            last_zxid: status.last_zxid.into(),
            nodes: status.nodes,
            sessions: status.sessions,
            connections: status.connections,
            watches: status.watches,
            clock: if status.clock_held { "manual" } else { "real" },
            servers: server.servers().len().max(1),
            server: server.shown_server(),
            frozen: status.frozen,
            down: status.down,
            read_only: status.read_only,
        }
    }
}

/// Figures of the server.
#[utoipa::path(get, path = "/status", tag = "server", responses((status = 200, body = Status)))]
async fn status(app: App) -> Json<Status> {
    Json(Status::of(&app.server))
}
