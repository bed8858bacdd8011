//! `PUT` and `DELETE /v1/nodes/PATH`: writes that clients see as they see each other's.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::WriteError;

use crate::app::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Query};
use crate::hex::Hex;
use crate::upload::upload;
use crate::v1::node_path::NodePath;
use crate::v1::stat::Stat;

pub(super) fn routes() -> OpenApiRouter {
    // A wildcard does not match an empty rest, which is the root.
    let of_root = put(put_node).delete(delete_node);
    OpenApiRouter::new()
        .routes(routes!(put_node, delete_node))
        .route("/nodes/", of_root.clone())
        .route("/nodes", of_root)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct PutOptions {
    /// Session with which the node goes.
    ephemeral_owner: Option<Hex>,
    /// Appends the parent's counter to the name, and always creates a node.
    #[serde(default)]
    #[param(default = false)]
    sequential: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct DeleteOptions {
    /// Deletes the nodes below it, too.
    #[serde(default)]
    #[param(default = false)]
    recursive: bool,
}

/// A node after it was written.
#[derive(Debug, Serialize, ToSchema)]
struct Written {
    /// Path of the node, with the counter of a sequential one.
    #[schema(example = "/services/echo")]
    path: String,
    stat: Stat,
}

/// A node that was deleted.
#[derive(Debug, Serialize, ToSchema)]
struct Deleted {
    #[schema(example = "/services/echo")]
    path: String,
    /// `Stat` of the node before.
    stat: Stat,
    /// Number of nodes that were deleted.
    deleted: usize,
}

/// Creates a node, and its missing parents, or sets its data. The body is the data.
#[utoipa::path(
    put,
    path = "/nodes/{*path}",
    tag = "nodes",
    params(("path" = String, Path, description = "Path of the node without the first slash, percent-encoded"), PutOptions),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "Data, of any type"),
    responses(
        (status = 200, description = "set", body = Written),
        (status = 201, description = "created", body = Written),
        (status = 400, description = "bad path or option", body = ErrorBody),
        (status = 404, description = "the owner is no session", body = ErrorBody),
        (status = 409, description = "the state of the tree does not allow it", body = ErrorBody),
        (status = 413, description = "more data than jute.maxbuffer allows", body = ErrorBody),
        (status = 503, description = "the server cannot write", body = ErrorBody),
    )
)]
async fn put_node(
    app: App,
    NodePath(path): NodePath,
    Query(options): Query<PutOptions>,
    request: Request,
) -> Result<Response, ApiError> {
    let max = app.server.jute_max_buffer();
    let data = upload(request, max).await?.ok_or_else(|| {
        let message =
            format!("the data of {path} is longer than {max} bytes, the server's limit (jute.maxbuffer)");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    })?;
    let server = app.writer();
    let mut create = server.create(&path, data).parents().or_set();
    if let Some(owner) = options.ephemeral_owner {
        create = create.ephemeral(owner.into());
    }
    if options.sequential {
        create = create.sequential();
    }
    let written = create.await.map_err(|error| ApiError::from(error).with_disk(&app.server))?;
    let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    let node = Written { path: written.path.to_string(), stat: written.stat.into() };
    Ok((status, Json(node)).into_response())
}

/// Deletes a node.
#[utoipa::path(
    delete,
    path = "/nodes/{*path}",
    tag = "nodes",
    params(("path" = String, Path, description = "Path of the node without the first slash, percent-encoded"), DeleteOptions),
    responses(
        (status = 200, body = Deleted),
        (status = 400, description = "bad path or option, or a node of the system", body = ErrorBody),
        (status = 404, description = "there is no such node", body = ErrorBody),
        (status = 409, description = "the node has children", body = ErrorBody),
        (status = 503, description = "the server cannot write", body = ErrorBody),
    )
)]
async fn delete_node(
    app: App,
    NodePath(path): NodePath,
    Query(options): Query<DeleteOptions>,
) -> Result<Json<Deleted>, ApiError> {
    let removed = app.writer().remove(&path, options.recursive).await;
    let removed = removed.map_err(|error| ApiError::from(error).with_disk(&app.server))?;
    Ok(Json(Deleted { path, stat: removed.stat.into(), deleted: removed.nodes }))
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        let message = error.to_string();
        match error {
            WriteError::NoNode { path } => Self::not_found(format!("{path} does not exist")),
            WriteError::NoSession { path, session } => Self::not_found(format!(
                "{path} cannot belong to session {}: it has ended, or never existed; GET /v1/sessions lists those that live",
                Hex::from(session)
            )),
            WriteError::OtherOwner { path, session } => Self::conflict(format!(
                "{path} exists and does not belong to session {}: delete it first, or leave ephemeral_owner out",
                Hex::from(session)
            )),
            WriteError::NotEmpty { path, children } => {
                let below = if children == 1 { "a child".into() } else { format!("{children} children") };
                Self::conflict(format!(
                    "{path} has {below}: delete what is below it first, or all at once with ?recursive=true"
                ))
            }
            WriteError::SystemNode { path } => Self::bad_request(format!(
                "{path} is a node of the system, which cannot be deleted; POST /v1/reset empties the server"
            )),
            WriteError::NoParent { .. } => Self::not_found(message),
            WriteError::NodeExists { .. }
            | WriteError::BadVersion { .. }
            | WriteError::EphemeralParent { .. }
            | WriteError::QuotaExceeded { .. } => Self::conflict(message),
            WriteError::TooLong { path, max } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the transaction for {path} would be longer than {max} bytes, the server's limit"),
            ),
            WriteError::ReadOnly { .. } | WriteError::NotDurable { .. } | WriteError::Stopped { .. } => {
                Self::unavailable(message)
            }
            _ => Self::bad_request(message),
        }
    }
}
