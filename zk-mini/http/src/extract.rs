//! Parts of a request, with errors that are JSON.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::unread;
use crate::error::ApiError;

/// JSON in the body of a request, whatever its content type, or of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Body(bytes) = Body::from_request(request, state).await?;
        if bytes.is_empty() {
            return Err(ApiError::bad_request("the body is empty; JSON is expected"));
        }
        // It would be taken for the fields in their order.
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            return Err(ApiError::bad_request(
                "the body is not as expected: it is a list, and an object is expected",
            ));
        }
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        // With the path of the field that is wrong.
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let is_json = error.inner().is_data();
            let what = if is_json { "the body is not as expected" } else { "the body is not JSON" };
            ApiError::bad_request(format!("{what}: {error}"))
        })?;
        reader
            .end()
            .map(|()| Self(value))
            .map_err(|error| ApiError::bad_request(format!("the body is more than one JSON value: {error}")))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The body of a request.
#[derive(Clone, Debug)]
pub(crate) struct Body(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await;
        bytes.map(Self).map_err(|rejection| unread(&rejection))
    }
}

/// Parameters behind the `?` of an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        query.map(|axum::extract::Query(value)| Self(value)).map_err(|rejection| {
            let text = rejection.body_text();
            // The framework speaks of its own work.
            let reason = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            ApiError::bad_request(format!("a parameter is not as expected: {}", in_our_words(reason)))
        })
    }
}

/// Replaces what the standard library says of a value by what is allowed.
fn in_our_words(reason: &str) -> String {
    const WORDS: [(&str, &str); 4] = [
        ("invalid digit found in string", "it is a whole number, 0 or more"),
        ("cannot parse integer from empty string", "it is a whole number, 0 or more"),
        ("number too large to fit in target type", "the number is too large"),
        ("provided string was not `true` or `false`", "it is `true` or `false`"),
    ];
    let known = WORDS.iter().find_map(|(theirs, ours)| Some((reason.strip_suffix(theirs)?, ours)));
    known.map_or_else(|| reason.into(), |(name, ours)| format!("{name}{ours}"))
}

/// Parts of the path of an address, decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value))
            .map_err(|rejection| ApiError::new(rejection.status(), rejection.body_text()))
    }
}
