//! Settings with which a container starts.

use std::time::Duration;

pub use crate::container::{Container, LogStream};
use crate::images::generic::GenericImage;

/// Check of a container's health, which is not made.
#[derive(Debug, Default)]
pub struct Healthcheck;

impl Healthcheck {
    pub fn with_cmd<T>(self, _: impl Iterator<Item = T>) -> Self {
        self
    }

    pub fn with_interval(self, _: Duration) -> Self {
        self
    }

    pub fn with_retries(self, _: u32) -> Self {
        self
    }
}

/// Sign that a container is ready.
#[derive(Debug)]
pub enum WaitFor {
    Healthcheck,
}

/// An image with the files of its container.
#[derive(Debug)]
pub struct RunnableImage<I> {
    pub(crate) image: I,
    /// Paths outside, by those in the container.
    pub(crate) volumes: Vec<(String, String)>,
}

impl From<GenericImage> for RunnableImage<GenericImage> {
    fn from(image: GenericImage) -> Self {
        Self { image, volumes: Vec::new() }
    }
}

impl<I> RunnableImage<I> {
    pub fn with_volume(mut self, (outside, inside): (&str, &str)) -> Self {
        self.volumes.push((inside.into(), outside.into()));
        self
    }

    /// Has no effect: every server has its ports on this machine.
    pub fn with_network(self, _: &str) -> Self {
        self
    }
}
