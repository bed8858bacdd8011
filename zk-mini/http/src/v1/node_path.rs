//! Path of a node in the path of an address.

use axum::extract::{FromRequestParts, OptionalFromRequestParts, Path};
use axum::http::request::Parts;

use crate::error::ApiError;

/// Path of a node, from what follows `/nodes/` in the address, decoded. It begins with a slash; the server checks the rest.
#[derive(Debug)]
pub(super) struct NodePath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for NodePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = <Path<String> as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await;
        let path = path.map_err(|_| {
            ApiError::bad_request(
                "the path in the address is not UTF-8: names of nodes are text, percent-encoded in UTF-8",
            )
        })?;
        Ok(Self(path.map_or_else(|| "/".into(), |Path(path)| format!("/{path}"))))
    }
}
