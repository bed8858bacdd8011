//! Control of a server, as JSON: the API of version 1. Fields are only ever added.

#![allow(unused_qualifications, reason = "code that utoipa generates")]

mod clock;
mod connections;
mod declared;
mod diff;
mod entry;
mod event_feed;
mod events;
mod explain;
mod faults;
mod history;
mod lifecycle;
mod node_path;
mod nodes;
mod openapi;
mod paths;
mod servers;
mod sessions;
mod snapshot;
mod stat;
mod status;
mod tree;
mod watches;

use axum::extract::OriginalUri;
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn;
use axum::{Extension, Router};
use utoipa_axum::router::OpenApiRouter;

use crate::error::ApiError;

/// Version of the API. A client refuses a higher one.
const API: u32 = 1;

/// Returns the routes under `/v1`.
pub(crate) fn router() -> Router {
    let topics = [
        status::routes(),
        tree::routes(),
        diff::routes(),
        nodes::routes(),
        sessions::routes(),
        connections::routes(),
        watches::routes(),
        clock::routes(),
        faults::routes(),
        explain::routes(),
        history::routes(),
        events::routes(),
        lifecycle::routes(),
        servers::routes(),
        snapshot::routes(),
        openapi::routes(),
    ];
    let all = topics.into_iter().fold(OpenApiRouter::with_openapi(openapi::base()), OpenApiRouter::merge);
    let (router, api) = all.split_for_parts();
    let router = router.route_layer(from_fn(declared::check)).layer(Extension(declared::Declared::of(&api)));
    let router = router.fallback(unknown_path).method_not_allowed_fallback(wrong_method);
    router.layer(openapi::layer(api))
}

/// Answer to a request for a path that is no call.
pub(crate) async fn unknown_path(OriginalUri(uri): OriginalUri) -> ApiError {
    let path = uri.path();
    ApiError::not_found(format!("there is no call {path}; GET /v1/openapi.json lists all calls"))
}

async fn wrong_method(method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    let message = format!("{} has no {method}; the header Allow lists its methods", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
}
