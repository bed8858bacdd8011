//! Commands of Apache ZooKeeper's `ZooKeeperServerController`: `/command/ACTION` and `/command/ACTION/PARAMETER`. Tests that
//! were written for it find them here, with its names and status codes.
//!
//! Unlike there, what changes the server is a POST, the answer is plain text, and pings are neither failed nor counted.

mod action;
mod made;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::header::ALLOW;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use zk_mini::{Handle, On, Role, RuleError, Then};
use zk_wire::ErrorCode;

use crate::app::App;
use crate::blocking::completely;
use crate::settings::Shutdown;

use action::{Action, BadCommand};
use made::Kind;
pub(crate) use made::Made;

/// Longest delay that is told from forever.
const MAX_DELAY: Duration = Duration::from_secs(366 * 24 * 3600);

/// Returns the routes of the controller.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/command", any(nothing))
        .route("/command/", any(nothing))
        .route("/command/{*command}", any(command))
}

async fn nothing() -> Failed {
    BadCommand("the action is missing".into()).into()
}

async fn command(app: App, method: Method, Path(text): Path<String>) -> Result<String, Failed> {
    let (name, parameter) = match text.split_once('/') {
        Some((name, parameter)) => (name, Some(parameter)),
        None => (text.as_str(), None),
    };
    let action = Action::named(name, parameter)?;
    if method != Method::POST && !(action == Action::Ping && matches!(method, Method::GET | Method::HEAD)) {
        return Err(Failed(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{} changes the server: send it as POST, `curl -X POST`", name.to_uppercase()),
        ));
    }
    if app.server.is_down() {
        return Err(Failed(StatusCode::INTERNAL_SERVER_ERROR, "the server has been shut down".to_owned()));
    }
    // Also if the client of the request goes meanwhile: of several connections none is left out.
    let remark = completely(async move { Ok(run(action, &app).await) }).await;
    let remark = remark.map_err(|error| Failed(error.status, error.message))??;
    Ok(format!("command/{text}\n{remark}"))
}

/// Performs an action. Returns a line for people, or nothing.
async fn run(action: Action, app: &App) -> Result<&'static str, Failed> {
    let server = &app.server;
    match action {
        Action::Ping => {}
        Action::Shutdown => shut_down(app)?,
        Action::CloseConnection(None) => {
            for connection in server.connections() {
                server.disconnect(connection.id).await;
            }
        }
        Action::CloseConnection(Some(id)) => {
            if let Some(session) = server.session(id) {
                session.disconnect().await;
            }
        }
        Action::ExpireSession(None) => {
            server.all_sessions().expire().await;
        }
        Action::ExpireSession(Some(id)) => {
            if let Some(session) = server.session(id) {
                session.expire().await;
            }
        }
        Action::RejectConnections => {
            app.shared.made.set(server, Kind::Reject, Some((On::connect(), Then::refuse())))?;
        }
        Action::AddDelay(by) => app.shared.made.set(server, Kind::Delay, delay(by))?,
        Action::FailRequests(count) => {
            app.shared.made.set(server, Kind::Fail, counted(Then::fail(ErrorCode::API_ERROR), count))?;
        }
        Action::NoResponse(count) => {
            app.shared.made.set(server, Kind::Silence, counted(Then::apply_and_be_silent(), count))?;
        }
        Action::Reset => app.shared.made.reset(server),
        Action::ElectNewLeader => return elect(server).await,
    }
    Ok("")
}

/// Lets another server lead: the follower with the highest number that can.
async fn elect(server: &Handle) -> Result<&'static str, Failed> {
    let servers = server.servers();
    if servers.is_empty() {
        return Ok("this server is the only one: it stays the leader, and no client notices\n");
    }
    for candidate in servers.iter().rev().filter(|info| info.role == Role::Follower) {
        if let Ok(candidate) = server.server(candidate.server)
            && candidate.lead().await.is_ok()
        {
            return Ok("");
        }
    }
    let message = "no other server can lead: there must be a follower with a vote, and a quorum; GET /v1/servers shows all";
    Err(Failed(StatusCode::CONFLICT, message.to_owned()))
}

/// Ends the program or takes the server down, after the answer; or refuses to.
fn shut_down(app: &App) -> Result<(), Failed> {
    match &app.shared.settings.shutdown {
        Shutdown::Call(shut_down) => {
            let shut_down = Arc::clone(shut_down);
            app.at_end.set(async move { shut_down() });
        }
        Shutdown::TakeDown => {
            let server = app.server.clone();
            app.at_end.set(async move { server.take_down().await });
        }
        Shutdown::Refuse(reason) => {
            return Err(Failed(StatusCode::FORBIDDEN, format!("SHUTDOWN is refused: {reason}")));
        }
    }
    Ok(())
}

fn delay(by: Duration) -> Option<(On, Then)> {
    (!by.is_zero()).then(|| (On::any(), Then::delay(by.min(MAX_DELAY))))
}

/// Returns a rule for so many requests; for all if the number is missing or negative, as there.
fn counted(then: Then, count: Option<i64>) -> Option<(On, Then)> {
    match count.map(u64::try_from) {
        None | Some(Err(_)) => Some((On::any(), then)),
        Some(Ok(0)) => None,
        Some(Ok(count)) => Some((On::any().times(count), then)),
    }
}

/// Failure of a command.
#[derive(Debug)]
struct Failed(StatusCode, String);

impl From<BadCommand> for Failed {
    fn from(error: BadCommand) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl From<RuleError> for Failed {
    fn from(error: RuleError) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let mut response = (self.0, self.1 + "\n").into_response();
        if self.0 == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, axum::http::HeaderValue::from_static("POST"));
        }
        response
    }
}
