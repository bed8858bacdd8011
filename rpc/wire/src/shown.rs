//! A peer's text in a log.

use std::fmt;

/// Displays what a peer sent so that it can neither forge a line of a log nor fill it: control characters, quotes and
/// backslashes are escaped, and past 200 characters of the text there is only `…`.
///
/// ```
/// assert_eq!(rpc_wire::Shown("a\nb\u{1b}[2J").to_string(), r"a\nb\u{1b}[2J");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(MAX_SHOWN).map(|(end, _)| end);
        write!(f, "{}", self.0[..end.unwrap_or(self.0.len())].escape_debug())?;
        f.write_str(if end.is_some() { "…" } else { "" })
    }
}

/// Characters of the text, before they are escaped.
const MAX_SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let shown = Shown(&"ü".repeat(1_000)).to_string();
        assert_eq!(shown, "ü".repeat(MAX_SHOWN) + "…");
        assert_eq!(Shown(&"x".repeat(MAX_SHOWN)).to_string(), "x".repeat(MAX_SHOWN));
    }

    #[test]
    fn nothing_that_moves_a_terminal_is_let_through() {
        let evil = "\r\n\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{2028}";
        assert!(Shown(evil).to_string().is_ascii(), "{}", Shown(evil));
    }
}
