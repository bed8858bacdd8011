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
        let sent = parts.uri.path();
        // The decoder would take them for text, and a node would get a name that nobody meant.
        if let Some(escape) = sent.split('%').skip(1).find(|rest| !is_escape(rest)) {
            let escape: String = escape.chars().take(2).collect();
            return Err(ApiError::bad_request(format!(
                "%{escape} in the address is no escape: a percent sign in a path is written %25"
            )));
        }
        let path = <Path<String> as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await;
        let path = path.map_err(|_| {
            ApiError::bad_request(
                "the path in the address is not UTF-8: names of nodes are text, percent-encoded in UTF-8",
            )
        })?;
        Ok(Self(path.map_or_else(|| "/".into(), |Path(path)| format!("/{path}"))))
    }
}

fn is_escape(after_percent: &str) -> bool {
    after_percent.as_bytes().first_chunk::<2>().is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}
