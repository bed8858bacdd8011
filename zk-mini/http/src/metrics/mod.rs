//! `/metrics`: figures in the text format of Prometheus.

mod families;
mod own;
mod process;
mod zookeeper;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::TextEncoder;

use crate::app::App;
use crate::blocking::blocking;
use crate::error::ApiError;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the route of the metrics.
pub(crate) fn routes() -> Router {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(app: App) -> Result<Response, ApiError> {
    // The numbers of the process come from files of the system.
    let text = blocking(move || {
        text(&app).map_err(|error| ApiError::internal(format!("the figures cannot be written: {error}")))
    });
    Ok(([(CONTENT_TYPE, TEXT)], text.await?).into_response())
}

fn text(app: &App) -> prometheus::Result<String> {
    let figures = app.server.figures();
    let mut families = zookeeper::families(&figures, app.server.descriptor_figures());
    families.extend(own::families(app, &figures));
    families.extend(process::families());
    TextEncoder::new().encode_to_string(&families)
}
