//! Standard output: text for people, JSON for programs.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Stdout, Write};

use common::log::Shown;
use serde::Serialize;

use crate::error::CliError;

/// Standard output of a command.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    out: Stdout,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, out: io::stdout() }
    }

    /// Prints a value in one of the two forms.
    pub(crate) fn print(&mut self, json: &impl Serialize, text: impl Display) -> Result<(), CliError> {
        if self.json { self.line(Json(json)) } else { self.line(text) }
    }

    /// Prints a line, at once.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), CliError> {
        writeln!(self.out, "{text}").map_err(CliError::Output)
    }
}

/// Returns true if a person reads standard error on a terminal.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// JSON in one line.
pub(crate) struct Json<'a, T>(pub(crate) &'a T);

impl<T: Serialize> Display for Json<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

/// JSON in several lines, for a person.
pub(crate) struct Pretty<'a, T>(pub(crate) &'a T);

impl<T: Serialize> Display for Pretty<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string_pretty(self.0).map_err(|_| fmt::Error)?)
    }
}

/// Returns a text of a stranger as it may go to a terminal.
pub(crate) fn shown(text: &str) -> String {
    Shown::text(text).to_string()
}
