//! `GET /v1/openapi.json`: the description of the API, generated from its routes.

use axum::Extension;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiError;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "zk-mini",
        description = "Control of a zk-mini server. Zxids and ids of sessions are text, `0x` with hexadecimal digits. Every error is \
                       `{\"error\":{\"code\",\"message\"}}`.",
        license(name = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "server", description = "The server as a whole"),
        (name = "servers", description = "The servers of a simulated ensemble"),
        (name = "nodes", description = "The tree of nodes"),
        (name = "sessions", description = "Sessions, connections and watches of clients"),
        (name = "time", description = "The clock"),
        (name = "faults", description = "Rules by which the server misbehaves"),
        (name = "history", description = "What happened, and why"),
    )
)]
struct Base;

/// Text of the description.
#[derive(Clone, Debug)]
pub(super) struct Description(Bytes);

/// Returns the begin of the description: what no route says.
pub(super) fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(openapi))
}

/// Gives all routes the description of all.
pub(super) fn layer(mut api: utoipa::openapi::OpenApi) -> Extension<Description> {
    // A description has no wildcards: the text of the parameter says what it may be.
    let whole = |path: &str| format!("/v1{}", path.replace("{*", "{"));
    let paths = std::mem::take(&mut api.paths.paths);
    api.paths.paths = paths.into_iter().map(|(path, item)| (whole(&path), item)).collect();
    // What derives `Serialize` with text as keys can be written; an empty text would be reported by the handler.
    Extension(Description(serde_json::to_vec(&api).unwrap_or_default().into()))
}

/// This description.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "server",
    responses((status = 200, body = Object, content_type = "application/json"))
)]
async fn openapi(Extension(Description(text)): Extension<Description>) -> Response {
    if text.is_empty() {
        return ApiError::internal("the description cannot be written").into_response();
    }
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
