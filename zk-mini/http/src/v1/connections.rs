//! Connections that speak ZooKeeper's protocol.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::{ConnId, ConnectionInfo};

use crate::app::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path};
use crate::hex::Hex;
use crate::v1::entry::small_id;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(disconnect))
        .routes(routes!(freeze))
        .routes(routes!(thaw))
}

/// Open connection.
#[derive(Serialize, ToSchema)]
struct ConnectionBody {
    /// Id of the connection.
    id: Hex,
    /// Address of its client; null if that is in the process of the server.
    #[schema(example = "127.0.0.1:5123")]
    client: Option<String>,
    /// Session of the connection; null before the handshake.
    session: Option<Hex>,
    /// Time at which it was accepted, by the server's wall clock, in milliseconds since 1970.
    since_ms: i64,
    /// True if nothing that it sends is handled: the connection, its session, its listener or the server is frozen.
    frozen: bool,
    /// Number of frames received.
    received: u64,
    /// Number of frames sent.
    sent: u64,
}

/// Connection that something has happened to.
#[derive(Serialize, ToSchema)]
struct AffectedConnections {
    /// Ids of the connections.
    connections: Vec<Hex>,
}

impl From<ConnId> for Hex {
    fn from(conn: ConnId) -> Self {
        Self(conn.0.cast_signed())
    }
}

/// Connections that speak ZooKeeper's protocol, with or without a session, in the order in which they were accepted.
#[utoipa::path(
    get, path = "/connections", operation_id = "list_connections", tag = "sessions",
    responses((status = 200, body = [ConnectionBody])))]
async fn list(app: App) -> Json<Vec<ConnectionBody>> {
    let connection = |info: ConnectionInfo| ConnectionBody {
        id: info.id.into(),
        client: info.remote.map(|client| client.to_string()),
        session: info.session.map(Hex::from),
        since_ms: info.since.0,
        frozen: info.frozen,
        received: info.received,
        sent: info.sent,
    };
    Json(app.server.connections().into_iter().map(connection).collect())
}

/// Closes a connection. Its session lives on. Answers when it is closed.
#[utoipa::path(
    post, path = "/connections/{id}/disconnect", operation_id = "disconnect_connection", tag = "sessions",
    params(("id" = Hex, Path)), responses(
    (status = 200, body = AffectedConnections), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
))]
async fn disconnect(app: App, Path(id): Path<String>) -> Result<Json<AffectedConnections>, ApiError> {
    let id = id_of(&id)?;
    answer(id, app.server.disconnect(id).await)
}

/// Silences a connection: nothing that its client sends is handled, and nothing is sent to it.
#[utoipa::path(
    post, path = "/connections/{id}/freeze", operation_id = "freeze_connection", tag = "sessions",
    params(("id" = Hex, Path)), responses(
    (status = 200, body = AffectedConnections), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
))]
async fn freeze(app: App, Path(id): Path<String>) -> Result<Json<AffectedConnections>, ApiError> {
    let id = id_of(&id)?;
    answer(id, app.server.freeze_connection(id))
}

/// Thaws a connection. Answers when what its client has sent has been handled. Without effect on one that is not frozen.
#[utoipa::path(
    post, path = "/connections/{id}/thaw", operation_id = "thaw_connection", tag = "sessions",
    params(("id" = Hex, Path)), responses(
    (status = 200, body = AffectedConnections), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
))]
async fn thaw(app: App, Path(id): Path<String>) -> Result<Json<AffectedConnections>, ApiError> {
    let id = id_of(&id)?;
    let was_open = app.server.connections().iter().any(|connection| connection.id == id);
    answer(id, app.server.thaw_connection(id).await || was_open)
}

fn answer(id: ConnId, is_known: bool) -> Result<Json<AffectedConnections>, ApiError> {
    let id = Hex::from(id);
    if is_known {
        return Ok(Json(AffectedConnections { connections: vec![id] }));
    }
    Err(ApiError::not_found(format!("there is no connection {id}; GET /v1/connections lists all")))
}

fn id_of(text: &str) -> Result<ConnId, ApiError> {
    small_id(text).map(ConnId)
}
