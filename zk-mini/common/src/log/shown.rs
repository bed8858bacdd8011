//! A peer's text in a log.

use std::fmt;

/// Maximum number of characters that are shown, before they are escaped.
const MAX_CHARS: usize = 200;

/// Shows a peer's text on one line: control characters, characters that turn text around and backslashes are escaped, bytes
/// that are not UTF-8 are shown as `\x..`, and a long text is cut. Such a text can neither forge a line nor fill a log.
///
/// ```
/// use zk_mini_common::log::Shown;
///
/// assert_eq!(Shown::text("a\nb\u{1b}[2J").to_string(), r"a\nb\u{1b}[2J");
/// assert_eq!(Shown(b"\xff it's").to_string(), r"\xff it's");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(
    /// The bytes as the peer sent them.
    pub &'a [u8],
);

impl<'a> Shown<'a> {
    /// Shows a string.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut room, mut left) = (MAX_CHARS, self.0.len());
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if room == 0 {
                    return write!(f, "… ({left} bytes more)");
                }
                match c {
                    // Quotes command nothing, and texts of our own are full of them.
                    '"' | '\'' => write!(f, "{c}")?,
                    _ => write!(f, "{}", c.escape_debug())?,
                }
                (room, left) = (room - 1, left - c.len_utf8());
            }
            for byte in chunk.invalid() {
                if room == 0 {
                    return write!(f, "… ({left} bytes more)");
                }
                write!(f, "\\x{byte:02x}")?;
                (room, left) = (room - 1, left - 1);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_text_stays_on_one_line_and_cannot_command_a_terminal() {
        let shown = |text: &str| Shown::text(text).to_string();
        assert_eq!(shown("/services/écho"), "/services/écho");
        assert_eq!(
            shown("a\n2026 INFO forged\r\u{1b}[2J\u{7}\u{9b}"),
            "a\\n2026 INFO forged\\r\\u{1b}[2J\\u{7}\\u{9b}"
        );
        assert_eq!(shown("\u{202e}\u{2066}\u{200b}\u{2028}"), "\\u{202e}\\u{2066}\\u{200b}\\u{2028}");
        assert_eq!(Shown(b"a\xff\xfeb\\n").to_string(), "a\\xff\\xfeb\\\\n");
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(Shown::text(&"ü".repeat(200)).to_string(), "ü".repeat(200));
        assert_eq!(Shown::text(&"ü".repeat(1_000)).to_string(), "ü".repeat(200) + "… (1600 bytes more)");
        assert_eq!(Shown(&[0xff; 201]).to_string(), "\\xff".repeat(200) + "… (1 bytes more)");
    }
}
