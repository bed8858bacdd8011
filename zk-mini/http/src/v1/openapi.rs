//! `GET /v1/openapi.json`: the description of the API, generated from its routes.

use axum::Extension;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, Ref, ResponseBuilder};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{ApiError, ErrorBody};

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

/// Name of the security scheme.
const TOKEN: &str = "token";

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
    api.paths.paths = paths.into_iter().map(|(path, item)| (whole(&path), refusing(item))).collect();
    let token = Http::new(HttpAuthScheme::Bearer);
    api.components.get_or_insert_default().add_security_scheme(TOKEN, SecurityScheme::Http(token));
    // A server without a token asks for none.
    api.security = Some(vec![SecurityRequirement::default(), SecurityRequirement::new(TOKEN, [""; 0])]);
    // What derives `Serialize` with text as keys can be written; an empty text would be reported by the handler.
    Extension(Description(serde_json::to_vec(&api).unwrap_or_default().into()))
}

/// Answers that any call may have.
const REFUSALS: [(&str, &str); 3] = [
    ("400", "a parameter or a body that the call does not take"),
    ("401", "the token is missing or wrong"),
    ("403", "a request of a web page of others, or from where HTTP is off"),
];

/// Gives all calls of a path the answers that any may have.
fn refusing(mut item: PathItem) -> PathItem {
    let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
    for operation in operations.into_iter().flatten() {
        for (status, description) in REFUSALS {
            let content = Content::new(Some(Ref::from_schema_name(ErrorBody::name())));
            let response = ResponseBuilder::new().description(description);
            let response = response.content("application/json", content).build();
            operation.responses.responses.entry(status.into()).or_insert(response.into());
        }
    }
    item
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
