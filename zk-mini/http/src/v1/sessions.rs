//! Sessions: their state, and what can be done to them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::SessionInfo;
use zk_wire::SessionId;

use crate::app::App;
use crate::blocking::blocking_shortly;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path};
use crate::hex::{Hex, NotHex};
use crate::v1::paths;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(expire_many))
        .routes(routes!(expire))
        .routes(routes!(disconnect))
        .routes(routes!(freeze))
        .routes(routes!(thaw))
}

/// Session that is alive.
#[derive(Serialize, ToSchema)]
struct Session {
    /// Id of the session.
    id: Hex,
    /// Timeout that its client has got.
    timeout_ms: u64,
    /// True if it has a connection.
    connected: bool,
    /// Address of its client; null without a connection, or if the client is in the process of the server.
    #[schema(example = "127.0.0.1:5123")]
    client: Option<String>,
    /// Time since the last sign of life.
    last_heard_ms: u64,
    /// Time until it expires without a sign of life.
    expires_in_ms: u64,
    /// Paths of its ephemeral nodes, sorted.
    ephemerals: Vec<String>,
    /// Number of its watches.
    watches: usize,
    /// Connection, as in `/v1/connections`; null without one.
    connection: Option<Hex>,
    /// True if nothing that it sends is handled: the session, its connection, its listener or the server is frozen.
    frozen: bool,
}

/// Sessions that something has happened to.
#[derive(Serialize, ToSchema)]
struct AffectedSessions {
    /// Ids of the sessions.
    sessions: Vec<Hex>,
}

/// Sessions to end: one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"owner_of\":\"/path\"}")]
struct Which {
    /// Path of an ephemeral node, for the session that owns it.
    #[schema(example = "/leader")]
    owner_of: Option<String>,
    /// True for all sessions.
    all: Option<bool>,
}

/// Sessions that are alive, sorted by id.
#[utoipa::path(
    get, path = "/sessions", operation_id = "list_sessions", tag = "sessions",
    responses((status = 200, body = [Session])))]
async fn list(app: App) -> Result<Json<Vec<Session>>, ApiError> {
    // There may be many, with many nodes.
    blocking_shortly(move || Ok(app.server.sessions().into_iter().map(Session::from).collect()))
        .await
        .map(Json)
}

/// Lets sessions expire now, exactly as if their time had run out. Answers when they have ended, and when what that caused has been
/// sent: watch events, and the end of their connections. Nodes that a fault holds go later.
#[utoipa::path(
    post, path = "/sessions/expire", operation_id = "expire_sessions", tag = "sessions",
    request_body = Which, responses(
    (status = 200, body = AffectedSessions, description = "the sessions that this has ended"),
    (status = 400, body = ErrorBody), (status = 404, body = ErrorBody, description = "no such node, or it has no owner"),
    (status = 503, body = ErrorBody, description = "the disk is lost"),
))]
async fn expire_many(app: App, Json(which): Json<Which>) -> Result<Json<AffectedSessions>, ApiError> {
    let path = match (which.owner_of, which.all) {
        (Some(path), None) => path,
        (None, Some(true)) => {
            let ended = app.server.all_sessions().expire_each().await;
            return if ended.is_empty() {
                able_to_end(&app).map(|()| affected(ended))
            } else {
                Ok(affected(ended))
            };
        }
        _ => {
            let message = "name the sessions: {\"owner_of\":\"/path\"} or {\"all\":true}, one of the two";
            return Err(ApiError::bad_request(message));
        }
    };
    paths::check(&path)?;
    let Some(session) = app.server.session_of(&path) else {
        let why = match app.server.node(&path) {
            None => "there is no such node".to_owned(),
            Some(node) if node.stat.ephemeral_owner == SessionId::NONE => "the node is not ephemeral".into(),
            Some(node) => format!("its session {} has ended already", node.stat.ephemeral_owner),
        };
        return Err(ApiError::not_found(format!("nobody owns {path}: {why}")));
    };
    end(&app, &session).await
}

/// Lets a session expire now, exactly as if its time had run out. Answers when it has ended, and when what that caused has been sent.
#[utoipa::path(
    post, path = "/sessions/{id}/expire", operation_id = "expire_session", tag = "sessions",
    params(("id" = Hex, Path)), responses(
    (status = 200, body = AffectedSessions), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 503, body = ErrorBody, description = "the disk is lost"),
))]
async fn expire(app: App, Path(id): Path<String>) -> Result<Json<AffectedSessions>, ApiError> {
    end(&app, &alive(&app, &id)?).await
}

/// Closes the connection of a session, which lives on. Answers when it is closed. A session without a connection is left out of the
/// answer.
#[utoipa::path(
    post, path = "/sessions/{id}/disconnect", operation_id = "disconnect_session", tag = "sessions",
    params(("id" = Hex, Path)), responses(
    (status = 200, body = AffectedSessions), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
))]
async fn disconnect(app: App, Path(id): Path<String>) -> Result<Json<AffectedSessions>, ApiError> {
    let session = alive(&app, &id)?;
    let closed = session.disconnect().await;
    Ok(affected(closed.then(|| session.id())))
}

/// Silences the connection of a session, and later ones: nothing that its client sends is handled, and nothing is sent to it. As
/// time goes, the session expires.
#[utoipa::path(
    post, path = "/sessions/{id}/freeze", operation_id = "freeze_session", tag = "sessions",
    params(("id" = Hex, Path)), responses(
    (status = 200, body = AffectedSessions), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
))]
async fn freeze(app: App, Path(id): Path<String>) -> Result<Json<AffectedSessions>, ApiError> {
    let session = alive(&app, &id)?;
    session.freeze();
    Ok(affected([session.id()]))
}

/// Thaws a session, also one that has expired meanwhile: its client hears of that now. Answers when what its client has sent has been
/// handled. Without effect on one that is not frozen.
#[utoipa::path(
    post, path = "/sessions/{id}/thaw", operation_id = "thaw_session", tag = "sessions",
    params(("id" = Hex, Path)), responses(
    (status = 200, body = AffectedSessions), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
))]
async fn thaw(app: App, Path(text): Path<String>) -> Result<Json<AffectedSessions>, ApiError> {
    let id = id_of(&text)?;
    let was_alive = app.server.session(id).is_some();
    if app.server.thaw_session(id).await || was_alive { Ok(affected([id])) } else { Err(unknown(id)) }
}

async fn end(app: &App, session: &zk_mini::Session) -> Result<Json<AffectedSessions>, ApiError> {
    if session.expire().await {
        return Ok(affected([session.id()]));
    }
    able_to_end(app)?;
    Err(unknown(session.id()))
}

/// Tells why the server ends no session, if there is a reason.
fn able_to_end(app: &App) -> Result<(), ApiError> {
    let status = app.server.status();
    let why = if status.stopped {
        "the server has stopped"
    } else if status.read_only {
        "the disk of the server fails, and no session ends before it works again"
    } else {
        return Ok(());
    };
    Err(ApiError::unavailable(why).with_disk(&app.server))
}

fn alive(app: &App, text: &str) -> Result<zk_mini::Session, ApiError> {
    let id = id_of(text)?;
    app.server.session(id).ok_or_else(|| unknown(id))
}

fn id_of(text: &str) -> Result<SessionId, ApiError> {
    text.parse::<Hex>().map(Into::into).map_err(|error: NotHex| ApiError::bad_request(error.to_string()))
}

fn unknown(id: SessionId) -> ApiError {
    let id = Hex::from(id);
    ApiError::not_found(format!(
        "no session {id} is alive: it has ended, or never was; GET /v1/sessions lists all"
    ))
}

fn affected(ids: impl IntoIterator<Item = SessionId>) -> Json<AffectedSessions> {
    Json(AffectedSessions { sessions: ids.into_iter().map(Hex::from).collect() })
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl From<SessionInfo> for Session {
    fn from(info: SessionInfo) -> Self {
        Self {
            id: info.id.into(),
            timeout_ms: millis(info.timeout),
            connected: info.conn.is_some(),
            client: info.client.map(|client| client.to_string()),
            last_heard_ms: millis(info.heard),
            expires_in_ms: millis(info.expires_in),
            ephemerals: info.ephemerals,
            watches: info.watches,
            connection: info.conn.map(Hex::from),
            frozen: info.frozen,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use tokio::time::timeout;
    use zk_mini::ZkMini;

    use super::*;
    use crate::blocking::blocking;
    use crate::connection::AtEnd;
    use crate::face::Face;
    use crate::settings::Settings;
    use crate::shared::Shared;

    #[tokio::test]
    async fn sessions_are_listed_while_there_are_as_many_long_computations_as_may_be() {
        let zk = ZkMini::builder().in_memory().start().await.unwrap();
        let app = App {
            server: (*zk).clone(),
            shared: Arc::new(Shared::new(Settings::default())),
            face: Arc::new(Face::Full),
            peer: None,
            listener: None,
            at_end: AtEnd::default(),
        };
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let long = || {
            let (hold, held) = mpsc::channel::<()>();
            let begun = begun.clone();
            let computed = tokio::spawn(blocking(move || {
                let _ = begun.send(());
                let _ = held.recv();
                Ok(())
            }));
            (hold, computed)
        };
        // One more than may run at a time waits.
        let running: Vec<_> = (0..5).map(|_| long()).collect();
        for _ in 0..4 {
            begins.recv().await.unwrap();
        }
        let listed = timeout(Duration::from_secs(20), list(app)).await.expect("no wait for the others");
        assert!(listed.unwrap().0.is_empty());
        for (hold, computed) in running {
            drop(hold);
            computed.await.unwrap().unwrap();
        }
    }
}
