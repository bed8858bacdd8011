//! `/v1/servers` and `/v1/quorum`: the servers of a simulated ensemble.

use std::time::Duration;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::{Lag, Role, Server, ServerState, Unable};

use crate::app::App;
use crate::blocking::completely;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path};
use crate::hex::Hex;
use crate::whole::Whole;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(act))
        .routes(routes!(lag))
        .routes(routes!(quorum))
}

/// Server of an ensemble.
#[derive(Serialize, ToSchema)]
struct ServerBody {
    /// Number of the server: from 1 for those that the ensemble began with.
    server: usize,
    /// Address of the server; null if it has no port.
    #[schema(example = "127.0.0.1:2181")]
    address: Option<String>,
    /// Address for TLS only; left out if it has no such port.
    #[schema(example = "127.0.0.1:2281")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_address: Option<String>,
    /// `leader`, `follower`, `observer`, or `looking` if it knows no leader.
    role: &'static str,
    /// False if it is no member of the ensemble, and has no vote; left out for a member.
    #[schema(example = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<bool>,
    /// `running`, `read-only` (there is no quorum), `frozen`, `partitioned` or `stopped`.
    state: &'static str,
    /// Last transaction that it has applied.
    last_zxid: Hex,
    /// Lag that was set.
    lag: LagBody,
    /// Number of transactions that it has not applied yet.
    behind: u64,
}

/// Lag of a server behind the leader: one of the fields.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"transactions\":5}")]
struct LagBody {
    /// Transactions that it does not apply before one of its clients needs them.
    #[serde(skip_serializing_if = "Option::is_none")]
    transactions: Option<Whole>,
    /// Milliseconds after which it applies a transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<Whole>,
    /// True for no lag.
    #[serde(skip_serializing_if = "Option::is_none")]
    none: Option<bool>,
}

/// The quorum of an ensemble.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "{\"lost\":true} or {\"lost\":false}")]
struct QuorumBody {
    /// True to lose it, false to get it back.
    lost: bool,
}

impl From<Lag> for LagBody {
    fn from(lag: Lag) -> Self {
        match lag {
            Lag::None => Self { none: Some(true), ..Self::default() },
            Lag::Transactions(count) => Self { transactions: Some(Whole(count)), ..Self::default() },
            Lag::Time(by) => Self { ms: Some(Whole(by.0)), ..Self::default() },
        }
    }
}

impl LagBody {
    fn lag(self) -> Result<Lag, ApiError> {
        match self {
            Self { transactions: Some(count), ms: None, none: None } => Ok(Lag::Transactions(count.0)),
            Self { transactions: None, ms: Some(ms), none: None } => {
                Ok(Lag::time(Duration::from_millis(ms.0)))
            }
            Self { transactions: None, ms: None, none: Some(true) } => Ok(Lag::None),
            _ => Err(ApiError::bad_request(
                "a lag is {\"transactions\":N}, {\"ms\":N} or {\"none\":true}: one of these",
            )),
        }
    }
}

impl ServerBody {
    fn of(server: &Server) -> Self {
        let info = server.info();
        Self {
            server: info.server,
            address: server.addr().map(|addr| addr.to_string()),
            tls_address: server.handle().figures().configuration.listens_tls.map(|addr| addr.to_string()),
            role: match info.role {
                Role::Leader => "leader",
                Role::Follower => "follower",
                Role::Observer => "observer",
                Role::Looking => "looking",
            },
            member: is_dismissed(server).then_some(false),
            state: match info.state {
                ServerState::Running => "running",
                ServerState::ReadOnly => "read-only",
                ServerState::Frozen => "frozen",
                ServerState::Partitioned => "partitioned",
                ServerState::Stopped => "stopped",
            },
            last_zxid: info.last_zxid.into(),
            lag: info.lag.into(),
            behind: info.behind,
        }
    }
}

/// Servers of the ensemble, in order; none if this is a single server.
#[utoipa::path(
    get, path = "/servers", operation_id = "list_servers", tag = "servers",
    responses((status = 200, body = [ServerBody])))]
async fn list(app: App) -> Json<Vec<ServerBody>> {
    Json(all(&app))
}

/// Something that is done to a server.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Stop,
    Start,
    Restart,
    Partition,
    Heal,
    Freeze,
    Thaw,
    Lead,
}

/// Does something to a server. `stop` closes its port and its connections, `start` opens the port again, and `restart` does
/// both. `partition` cuts it off from the others: its connections are closed, and new ones get no answer before `heal`.
/// `freeze` silences it for its clients, until `thaw`. `lead` elects it: all connections of all servers are closed.
#[utoipa::path(
    post,
    operation_id = "act_on_server",
    path = "/servers/{server}/{action}",
    tag = "servers",
    params(("server" = usize, Path, description = "From 1"), ("action" = Action, Path)),
    responses(
        (status = 200, body = ServerBody), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, description = "it cannot lead", body = ErrorBody),
        (status = 503, description = "another program has its port", body = ErrorBody),
    )
)]
async fn act(app: App, Path((number, action)): Path<(String, String)>) -> Result<Json<ServerBody>, ApiError> {
    let server = server(&app, &number)?;
    let action = serde_json::from_value(action.into()).map_err(|_| {
        let known = "stop, start, restart, partition, heal, freeze, thaw, lag and lead";
        ApiError::not_found(format!("this cannot be done to a server; {known} can"))
    })?;
    completely(async move {
        match action {
            Action::Stop => server.stop().await,
            Action::Start => server.start().await.map_err(|error| no_port(&error))?,
            Action::Restart => server.restart().await.map_err(|error| no_port(&error))?,
            Action::Partition => server.partition().await,
            Action::Heal => server.heal().await,
            Action::Freeze => server.freeze().await,
            Action::Thaw => server.thaw().await,
            Action::Lead => server.lead().await?,
        }
        Ok(Json(ServerBody::of(&server)))
    })
    .await
}

/// Sets how far a server is behind the leader.
#[utoipa::path(
    post,
    operation_id = "lag_server",
    path = "/servers/{server}/lag",
    tag = "servers",
    params(("server" = usize, Path, description = "From 1")),
    request_body = LagBody,
    responses(
        (status = 200, body = ServerBody), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, description = "it leads, and a leader does not lag", body = ErrorBody),
    )
)]
async fn lag(
    app: App,
    Path(number): Path<String>,
    Json(body): Json<LagBody>,
) -> Result<Json<ServerBody>, ApiError> {
    let server = server(&app, &number)?;
    let lag = body.lag()?;
    completely(async move {
        server.lag(lag).await?;
        Ok(Json(ServerBody::of(&server)))
    })
    .await
}

/// Loses the quorum, or gets it back: all connections are closed. Without it only read-only clients are served.
#[utoipa::path(post, path = "/quorum", tag = "servers", request_body = QuorumBody, responses(
    (status = 200, body = [ServerBody]), (status = 400, body = ErrorBody),
    (status = 404, description = "this is a single server", body = ErrorBody),
))]
async fn quorum(
    app: App,
    Json(QuorumBody { lost }): Json<QuorumBody>,
) -> Result<Json<Vec<ServerBody>>, ApiError> {
    if app.server.servers().is_empty() {
        return Err(ApiError::not_found(
            "no quorum: this is a single server, not an ensemble; set the number of its servers when it is built, or with --servers",
        ));
    }
    completely(async move {
        if lost {
            app.server.lose_quorum().await;
        } else {
            app.server.regain_quorum().await;
        }
        Ok(Json(all(&app)))
    })
    .await
}

fn all(app: &App) -> Vec<ServerBody> {
    let numbers = app.server.servers().into_iter().map(|info| info.server);
    numbers
        .filter_map(|number| app.server.server(number).ok())
        .map(|server| ServerBody::of(&server))
        .collect()
}

fn server(app: &App, number: &str) -> Result<Server, ApiError> {
    let number = number.parse().map_err(|_| ApiError::bad_request("a server has a number, from 1"))?;
    Ok(app.server.server(number)?)
}

/// Returns `true` for a server that `reconfig` has removed from the members. It goes on without a vote.
fn is_dismissed(server: &Server) -> bool {
    let entry = format!("server.{}=", server.number());
    let membership = server.handle().membership();
    membership.is_some_and(|own| !own.members.lines().any(|line| line.starts_with(&entry)))
}

fn no_port(error: &zk_mini::Error) -> ApiError {
    ApiError::unavailable(error.to_string())
}

impl From<Unable> for ApiError {
    fn from(reason: Unable) -> Self {
        let message = reason.to_string();
        match reason {
            Unable::NoSuchServer { .. } => Self::not_found(message),
            _ => Self::new(StatusCode::CONFLICT, message),
        }
    }
}
