//! Context of a request: the server, and the connection on which the request came.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use zk_mini::Handle;

use crate::connection::AtEnd;
use crate::error::ApiError;
use crate::face::Face;
use crate::shared::Shared;

/// Server of a request, and the connection on which it came. Handlers take it as an argument.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) server: Handle,
    pub(crate) shared: Arc<Shared>,
    /// Parts that the port serves.
    pub(crate) face: Arc<Face>,
    /// Address of the other end; `None` if it is in this process.
    pub(crate) peer: Option<SocketAddr>,
    /// Address that the port was told to listen on; `None` for a connection that came by other ways.
    pub(crate) listener: Option<SocketAddr>,
    /// Tasks for the time after the last answer of the connection.
    pub(crate) at_end: AtEnd,
}

impl App {
    /// Returns a handle whose writes the history ascribes to the client of the request.
    pub(crate) fn writer(&self) -> Handle {
        self.peer.map_or_else(|| self.server.clone(), |peer| self.server.for_client(peer))
    }
}

impl<S: Sync> FromRequestParts<S> for App {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get().cloned().ok_or_else(|| ApiError::internal("the request belongs to no server"))
    }
}
