//! Control of a server, as JSON: the API of version 1. Fields are only ever added.

mod status;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use utoipa_axum::router::OpenApiRouter;

use crate::error::ApiError;

/// Version of the API. A client refuses a higher one.
const API: u32 = 1;

/// Returns the routes under `/v1`.
pub(crate) fn router() -> Router {
    let (router, _openapi) = OpenApiRouter::new().merge(status::routes()).split_for_parts();
    router.fallback(unknown_path).method_not_allowed_fallback(wrong_method)
}

async fn unknown_path(uri: Uri) -> ApiError {
    let path = uri.path();
    ApiError::not_found(format!("there is no call {path}; GET /v1/openapi.json lists all calls"))
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} has no {method}; the header Allow lists its methods", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
}
