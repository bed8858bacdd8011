//! Lines of the demonstration, with their time.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Result, print_line};

/// Prints lines with the time since its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Narrator {
    start: Instant,
}

impl Narrator {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Returns the time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn line(&self, text: &str) -> Result<()> {
        Ok(print_line(&format!("{:6.3} s  {text}", self.elapsed().as_secs_f64()))?)
    }
}
