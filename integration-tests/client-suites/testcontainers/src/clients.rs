//! Clients of Docker.

use crate::core::{Container, RunnableImage};
use crate::images::generic::GenericImage;

/// Starts containers.
#[derive(Debug, Default)]
pub struct Cli;

impl Cli {
    /// Starts a server, and returns when it serves.
    pub fn run(&self, image: impl Into<RunnableImage<GenericImage>>) -> Container<'_, GenericImage> {
        Container::start_new(image.into())
    }
}
