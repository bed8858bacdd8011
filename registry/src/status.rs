//! Status of an instance. Pure.

use std::fmt;

/// Readiness for work, as an instance says it of itself. Only [`Up`](Self::Up) takes new work.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Status {
    /// It starts, and is not ready yet.
    Starting,
    /// It takes work. An instance that says nothing of its status is up.
    #[default]
    Up,
    /// It finishes the work that it has, and takes no more.
    Draining,
    /// It takes no work, for instance because an operator says so.
    Down,
}

impl Status {
    /// Returns the word in the data of nodes: `starting`, `up`, `draining` or `down`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Down => "down",
        }
    }

    /// Reads the word in the data of nodes; `None` for any other text.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Starting, Self::Up, Self::Draining, Self::Down].into_iter().find(|s| s.as_str() == word)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
