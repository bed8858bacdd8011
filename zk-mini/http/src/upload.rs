//! Bodies of requests up to a length.

use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::connection::unread;
use crate::error::ApiError;

/// Maximum number of bytes that are read and thrown away after a body has become too long: most clients do not look at an answer
/// before they have sent everything.
const MAX_DRAINED: usize = 64 << 20;

/// Reads the body of a request. `None` if it is longer than `max` bytes.
///
/// # Errors
/// If the client goes before the end, or sends no correct body.
pub(crate) async fn upload(request: Request, max: usize) -> Result<Option<Bytes>, ApiError> {
    let mut body: Body = request.into_body();
    let (mut read, mut bytes) = (0_usize, BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unread(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        read = read.saturating_add(data.len());
        if read <= max {
            bytes.extend_from_slice(&data);
        } else if read - max > MAX_DRAINED {
            return Ok(None);
        } else {
            bytes = BytesMut::new();
        }
    }
    Ok((read <= max).then(|| bytes.freeze()))
}
