//! `GET /v1/snapshot` and `POST /v1/restore`.

use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::{Handle, NodeKind, Snapshot, TreeFile};

use crate::accept;
use crate::app::App;
use crate::blocking::{blocking, completely};
use crate::error::{ApiError, ErrorBody};
use crate::extract::Json;
use crate::upload::upload;
use crate::v1::lifecycle::failed;
use crate::v1::status::Status;

/// Form of a snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    /// Apache ZooKeeper's file.
    File,
    Yaml,
    Json,
}

/// Content types of the forms; the first is the default.
const FORMS: [(&str, Form); 3] = [
    ("application/octet-stream", Form::File),
    ("application/yaml", Form::Yaml),
    ("application/json", Form::Json),
];

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(snapshot)).routes(routes!(restore))
}

/// State of a server after a restore.
#[derive(Serialize, ToSchema)]
struct Restored {
    #[serde(flatten)]
    status: Status,
    /// Ephemeral nodes of a readable tree, which were left out: their sessions are not in it.
    left_out: Vec<String>,
}

/// The whole state: as a file of Apache ZooKeeper, not compressed, or the tree as YAML or JSON, as the header `Accept` says.
#[utoipa::path(
    get,
    path = "/snapshot",
    tag = "server",
    responses(
        (status = 200, content((Vec<u8> = "application/octet-stream"), (String = "application/yaml"), (Object = "application/json"))),
        (status = 406, description = "no such form", body = ErrorBody),
    )
)]
async fn snapshot(app: App, headers: HeaderMap) -> Result<Response, ApiError> {
    let types = FORMS.map(|(name, _)| name);
    let chosen = accept::choose(headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes), &types);
    let (content_type, form) = chosen.and_then(|chosen| FORMS.get(chosen)).copied().ok_or_else(|| {
        let message =
            format!("a snapshot can be sent as {}, and Accept takes none of them", types.join(", "));
        ApiError::new(StatusCode::NOT_ACCEPTABLE, message)
    })?;
    blocking(move || {
        let snapshot = app.server.snapshot();
        let name = format!("attachment; filename=\"snapshot.{:x}\"", snapshot.last_zxid().0);
        let unwritten = |error: &dyn std::error::Error| ApiError::internal(error.to_string());
        let common = [(CONTENT_TYPE, content_type), (VARY, "accept")];
        Ok(match form {
            Form::File => {
                let bytes = snapshot.to_bytes().map_err(|error| unwritten(&error))?;
                (common, [(CONTENT_DISPOSITION, name)], bytes).into_response()
            }
            Form::Yaml => {
                let text = TreeFile::from(&snapshot).to_yaml().map_err(|error| unwritten(&error))?;
                (common, text).into_response()
            }
            Form::Json => {
                let text = TreeFile::from(&snapshot).to_json().map_err(|error| unwritten(&error))?;
                (common, text).into_response()
            }
        })
    })
    .await
}

/// Exchanges the whole state for that of a snapshot, as `GET /v1/snapshot` sends it. ZooKeeper connections are closed. Nothing
/// changes if it is refused.
#[utoipa::path(
    post,
    path = "/restore",
    tag = "server",
    request_body(content((Vec<u8> = "application/octet-stream"), (String = "application/yaml"), (Object = "application/json"))),
    responses(
        (status = 200, body = Restored),
        (status = 400, description = "the snapshot is damaged", body = ErrorBody),
        (status = 413, description = "the snapshot is too long", body = ErrorBody),
        (status = 415, description = "no such form", body = ErrorBody),
        (status = 503, description = "the disk fails", body = ErrorBody),
    )
)]
async fn restore(app: App, request: Request) -> Result<Json<Restored>, ApiError> {
    let sent = request.headers().get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let form = form_of(&String::from_utf8_lossy(sent));
    let max = app.shared.settings.max_restore;
    let turn = app.shared.restore_turn().await;
    // Most clients look at an answer when they have sent everything.
    let body = upload(request, if form.is_ok() { max } else { 0 }).await?;
    let form = form?;
    let body = body.ok_or_else(|| {
        let message = format!("the snapshot is longer than {max} bytes, the limit of HTTP");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    })?;
    completely(async move {
        let _turn = turn;
        let (snapshot, left_out) = read(&app.server, form, body)?;
        app.server.restore(&snapshot).await.map_err(|error| failed(&app, error))?;
        Ok(Json(Restored { status: Status::of(&app.server), left_out }))
    })
    .await
}

fn form_of(content_type: &str) -> Result<Form, ApiError> {
    let name = content_type.split(';').next().unwrap_or_default().trim();
    let known = FORMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    known.map(|(_, form)| *form).ok_or_else(|| {
        let [types, sent] = [
            FORMS.map(|(name, _)| name).join(", "),
            if name.is_empty() { "missing".into() } else { format!("{name:?}") },
        ];
        let message = format!("Content-Type is {sent}: a snapshot is one of {types}");
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    })
}

/// Reads a snapshot, and the paths of nodes that it had to leave out.
fn read(server: &Handle, form: Form, body: Bytes) -> Result<(Snapshot, Vec<String>), ApiError> {
    if body.is_empty() {
        return Err(ApiError::bad_request(
            "the body is empty: a snapshot is expected; POST /v1/reset empties the server",
        ));
    }
    if form == Form::File {
        let snapshot = Snapshot::from_bytes(body);
        return snapshot.map(|snapshot| (snapshot, Vec::new())).map_err(|error| refused(&error));
    }
    let text = std::str::from_utf8(&body).map_err(|error| refused(&error))?;
    let tree = TreeFile::parse(text).map_err(|error| refused(&error))?;
    let is_left_out = |kind| matches!(kind, NodeKind::Ephemeral(_));
    let left_out = tree.nodes.iter().filter(|(_, node)| is_left_out(node.kind)).map(|(path, _)| path.clone());
    let snapshot = server.snapshot_of(&tree).map_err(|error| refused(&error))?;
    Ok((snapshot, left_out.collect()))
}

fn refused(error: &dyn std::error::Error) -> ApiError {
    ApiError::bad_request(format!("the snapshot is refused, and nothing has changed: {error}"))
}
