//! Logging that harms nobody: a subscriber is the user's code, and may panic; what is served must not depend on it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Logs an event of this level; the rest is as for `tracing::event!`. Costs next to nothing when nobody listens.
macro_rules! log {
    ($level:ident, $($event:tt)*) => {
        if $crate::shell::log::is_wanted(tracing::Level::$level) {
            $crate::shell::log::quietly(|| tracing::event!(tracing::Level::$level, $($event)*));
        }
    };
}

/// Returns whether anybody may want to hear of events of this level.
pub(crate) fn is_wanted(level: tracing::Level) -> bool {
    level <= tracing::level_filters::LevelFilter::current()
}

/// Does something of which a panic goes no further.
pub(crate) fn quietly(work: impl FnOnce()) {
    // The panic hook has reported it.
    let _ = catch_unwind(AssertUnwindSafe(work));
}

/// Pause of a task that goes on after a failure, before it tries again.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// Does the work of a task that has to live as long as the server. `None` if that panics, by a defect: one connection, or
/// one turn, is lost, not the server.
pub(crate) fn surviving<T>(work: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    if done.is_err() {
        log!(ERROR, "a defect of zk-mini: a panic was caught, and the server goes on");
    }
    done.ok()
}

/// Most characters that are shown of what a peer has sent.
const LONGEST: usize = 128;

/// Shows a peer's text on one line: characters that a terminal obeys or that turn text around are escaped, and what is
/// long is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = LONGEST;
        let mut left = self.0.len();
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if room == 0 {
                    return write!(f, "… ({left} bytes more)");
                }
                write!(f, "{}", c.escape_debug())?;
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
        let shown = |text: &str| Shown(text.as_bytes()).to_string();
        assert_eq!(shown("/services/écho"), "/services/écho");
        assert_eq!(
            shown("a\n2026 INFO forged\r\u{1b}[2J\u{7}\u{9b}"),
            "a\\n2026 INFO forged\\r\\u{1b}[2J\\u{7}\\u{9b}"
        );
        assert_eq!(shown("\u{202e}\u{2066}\u{200b}\u{2028}"), "\\u{202e}\\u{2066}\\u{200b}\\u{2028}");
        assert_eq!(Shown(b"a\xff\0b").to_string(), "a\\xff\\0b");
    }

    #[test]
    fn a_long_text_is_cut_and_says_by_how_much() {
        let shown = Shown("é".repeat(1_000).as_bytes()).to_string();
        assert_eq!(shown, format!("{}… (1744 bytes more)", "é".repeat(128)));
        assert_eq!(Shown("é".repeat(128).as_bytes()).to_string(), "é".repeat(128));
    }

    #[test]
    fn a_panic_of_a_subscriber_goes_no_further() {
        let mut done = false;
        quietly(|| {
            done = true;
            std::panic::resume_unwind(Box::new("by the subscriber"));
        });
        assert!(done);
    }
}
