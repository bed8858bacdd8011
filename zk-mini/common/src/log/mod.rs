//! Logging that can neither panic nor flood: a subscriber is the user's code and may panic, and peers choose part of the text.

mod line_limit;
mod panics;
mod shown;

pub use line_limit::{LeftOut, LineLimit};
pub use panics::{quietly, survive};
pub use shown::Shown;
