//! Restarts, the reset, and stalls. The listener, connections of HTTP and event streams stay.

use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::RestoreError;

use crate::app::App;
use crate::blocking::completely;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Query};
use crate::v1::status::Status;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(restart))
        .routes(routes!(reset))
        .routes(routes!(freeze))
        .routes(routes!(thaw))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct RestartOptions {
    /// Restarts as after a loss of power: in memory everything is lost, with a data directory what was not yet synced.
    #[serde(default)]
    #[param(default = false)]
    lose_unsynced: bool,
}

/// Restarts the server. ZooKeeper connections are closed; nodes and sessions stay. Answers when it serves again.
#[utoipa::path(
    post,
    path = "/restart",
    tag = "server",
    params(RestartOptions),
    responses((status = 200, body = Status), (status = 503, description = "the disk fails", body = ErrorBody))
)]
async fn restart(app: App, Query(options): Query<RestartOptions>) -> Result<Json<Status>, ApiError> {
    completely(async move {
        if options.lose_unsynced {
            app.server.restart_losing_unsynced().await.map_err(|error| failed(&app, error))?;
        } else {
            app.server.restart().await;
        }
        Ok(Json(Status::of(&app.server)))
    })
    .await
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ResetOptions {
    /// Removes all fault rules besides, thaws everything, and lets the clock run again, or holds it if it was held from the start.
    #[serde(default)]
    #[param(default = false)]
    all: bool,
}

/// Empties the server: no session is left, and no node but the system's. Answers when it serves again.
#[utoipa::path(
    post,
    path = "/reset",
    tag = "server",
    params(ResetOptions),
    responses((status = 200, body = Status), (status = 503, description = "the disk fails", body = ErrorBody))
)]
async fn reset(app: App, Query(options): Query<ResetOptions>) -> Result<Json<Status>, ApiError> {
    completely(async move {
        if options.all {
            app.server.reset_all().await.map_err(|error| failed(&app, error))?;
        } else {
            app.server.reset().await.map_err(|error| failed(&app, error))?;
        }
        Ok(Json(Status::of(&app.server)))
    })
    .await
}

/// Freezes the server: it stalls for its ZooKeeper clients, and nobody expires.
#[utoipa::path(post, path = "/freeze", tag = "server", responses((status = 200, body = Status)))]
async fn freeze(app: App) -> Json<Status> {
    app.server.freeze();
    Json(Status::of(&app.server))
}

/// Thaws the server: what its clients have sent meanwhile comes first, then what is due.
#[utoipa::path(post, path = "/thaw", tag = "server", responses((status = 200, body = Status)))]
async fn thaw(app: App) -> Result<Json<Status>, ApiError> {
    completely(async move {
        app.server.thaw().await;
        Ok(Json(Status::of(&app.server)))
    })
    .await
}

/// Returns the error for a state that the server did not take.
pub(super) fn failed(app: &App, error: RestoreError) -> ApiError {
    ApiError::from(error).with_disk(&app.server)
}

impl From<RestoreError> for ApiError {
    fn from(error: RestoreError) -> Self {
        let message = error.to_string();
        match error {
            RestoreError::Stopped | RestoreError::ReadOnly | RestoreError::NotDurable => {
                Self::unavailable(message)
            }
            _ => Self::internal(message),
        }
    }
}
