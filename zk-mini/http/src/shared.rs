//! Settings and limits that all connections share.

use std::sync::OnceLock;

use axum::Router;

use crate::settings::Settings;

/// Settings and limits that all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// Routes of the full face, made for the first connection.
    pub(crate) full: OnceLock<Router>,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, full: OnceLock::new() }
    }
}
