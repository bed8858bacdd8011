//! Standard output: text for people, JSON for programs.

use std::fmt::{self, Display, Write as _};
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
        write_json(f, &serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

/// JSON in several lines, for a person.
pub(crate) struct Pretty<'a, T>(pub(crate) &'a T);

impl<T: Serialize> Display for Pretty<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_json(f, &serde_json::to_string_pretty(self.0).map_err(|_| fmt::Error)?)
    }
}

/// Writes JSON. Characters that command a terminal, of which JSON has to escape few, are escaped as it allows.
fn write_json(f: &mut fmt::Formatter<'_>, json: &str) -> fmt::Result {
    for c in json.chars() {
        if c == '\n' || !is_command(c) {
            f.write_char(c)?;
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(f, "\\u{unit:04x}")?;
            }
        }
    }
    Ok(())
}

/// Returns true for a character that commands a terminal or changes the order of others: `Debug` escapes it. So it does with a mark
/// that stands over the letter in front of it, but not behind one.
fn is_command(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    String::from_iter(['a', c]).escape_debug().count() > 2
}

/// Returns an error's text, which a stranger may have written a part of, as it may go to a terminal: whole, in one line.
pub(crate) fn shown_whole(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_command(c) {
            shown.extend(c.escape_debug());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Returns a text of a stranger as it may go to a terminal.
pub(crate) fn shown(text: &str) -> String {
    Shown::text(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets the clipboard, clears the line, turns the text around.
    const HOSTILE: &str = "no\u{1b}]52;c;eA==\u{7}\r\u{9b}2K\u{202e}\nrpc: ok";

    #[test]
    fn a_servers_text_cannot_command_a_terminal() {
        assert_eq!(shown_whole(HOSTILE), "no\\u{1b}]52;c;eA==\\u{7}\\r\\u{9b}2K\\u{202e}\\nrpc: ok");
        let usual = "demo.echo: NOT_FOUND: \"ärger\" at C:\\x 日本 e\u{301} नमस्ते it's";
        assert_eq!(shown_whole(usual), usual);
    }

    #[test]
    fn json_for_a_terminal_is_the_same_json() {
        for text in [Json(&HOSTILE).to_string(), Pretty(&HOSTILE).to_string()] {
            assert!(!text.chars().any(is_command), "{text:?}");
            assert_eq!(serde_json::from_str::<String>(&text).unwrap(), HOSTILE);
        }
        assert_eq!(Pretty(&["é", "日本"]).to_string(), "[\n  \"é\",\n  \"日本\"\n]");
    }
}
