//! Text of peers, for logs and error messages. No I/O.

/// A peer's text as it may stand in a log: escaped, so that it forges no line, and cut to a length.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.escape_debug().take(MAX_SHOWN).collect();
    if text.escape_debug().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// Characters of a peer's text that are shown.
const MAX_SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_text_forges_no_line_and_fills_no_log() {
        assert_eq!(shown("fine"), "fine");
        assert_eq!(shown("a\nb\u{1b}[31m\u{202e}"), "a\\nb\\u{1b}[31m\\u{202e}");
        assert_eq!(shown(&"x".repeat(1 << 20)).chars().count(), MAX_SHOWN + 1);
    }
}
