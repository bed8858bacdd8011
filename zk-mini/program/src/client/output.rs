//! Standard output: text for people, JSON for programs; and notes on standard error.

use std::fmt::{self, Display, Write as _};
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde::Serialize;

use super::error::ClientError;

/// Standard output of a command.
pub(crate) struct Output {
    pub(crate) json: bool,
    out: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, out: BufWriter::new(io::stdout()) }
    }

    /// Prints a value in one of the two forms.
    pub(crate) fn print(&mut self, json: &impl Serialize, text: impl Display) -> Result<(), ClientError> {
        if self.json { self.line(Json(json)) } else { self.line(text) }
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), ClientError> {
        writeln!(self.out, "{text}").map_err(ClientError::Output)
    }

    /// Prints a part of a line.
    pub(crate) fn part(&mut self, text: impl Display) -> Result<(), ClientError> {
        write!(self.out, "{text}").map_err(ClientError::Output)
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.out.write_all(bytes).map_err(ClientError::Output)
    }

    pub(crate) fn flush(&mut self) -> Result<(), ClientError> {
        self.out.flush().map_err(ClientError::Output)
    }

    /// Returns true if a person reads it on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.out.get_ref().is_terminal()
    }
}

/// Tells something beside the output, on standard error. If nobody reads that, nothing is lost.
pub(crate) fn note(text: impl Display) {
    beside(format_args!("zk-mini: {text}"));
}

/// Prints a line on standard error.
pub(crate) fn beside(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A value as JSON on one line.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> Display for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}

/// Text of a server on one line: characters that a terminal obeys or hides are escaped.
pub(crate) struct Visible<'a>(pub(crate) &'a str);

impl Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            _ if is_hidden(char) => write!(f, "{}", char.escape_unicode()),
            _ => f.write_char(char),
        })
    }
}

/// Returns true for a control character, and for one that changes the direction of text or has no width.
pub(crate) fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_move_the_cursor_or_turn_the_text() {
        assert_eq!(Visible("/a b'\"\\é日").to_string(), "/a b'\"\\é日");
        assert_eq!(Visible("\u{1b}[2J\n\u{202e}").to_string(), r"\u{1b}[2J\u{a}\u{202e}");
    }
}
