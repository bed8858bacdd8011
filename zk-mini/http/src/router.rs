//! All routes.

use axum::Router;

use crate::face::Face;
use crate::{page, v1};

/// Returns the routes of a face.
pub(crate) fn of(face: &Face) -> Router {
    match face {
        Face::Full => page::router().nest("/v1", v1::router()),
        Face::Admin { .. } => Router::new(),
    }
}
