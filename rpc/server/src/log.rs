//! Lines of the log: none of them may end what writes it, and no peer may fill it.

use crate::peers::PeerKey;
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};
use tokio::time::Instant;

/// Writes a line, if that is possible: a subscriber panics when its file is full or its reader has gone.
pub(crate) fn say(line: impl FnOnce()) {
    // There is nobody to tell.
    let _ = catch_unwind(AssertUnwindSafe(line));
}

/// Numbers of lines about each peer lately, in a table of bounded size.
#[derive(Debug, Default)]
pub(crate) struct PeerLines {
    lately: HashMap<PeerKey, Lately>,
    /// For all who found the table full.
    others: Option<Lately>,
}

#[derive(Clone, Copy, Debug)]
struct Lately {
    since: Instant,
    lines: u32,
}

impl PeerLines {
    /// Asks for a line about a peer: the number of lines left out since the last one, or `None` to leave it out too.
    pub(crate) fn may_say(&mut self, peer: PeerKey, now: Instant) -> Option<u32> {
        if self.lately.len() >= MAX_PEERS && !self.lately.contains_key(&peer) {
            self.lately.retain(|_, lately| !lately.is_over(now));
        }
        let begun = Lately { since: now, lines: 0 };
        let lately = if self.lately.len() < MAX_PEERS || self.lately.contains_key(&peer) {
            self.lately.entry(peer).or_insert(begun)
        } else {
            self.others.get_or_insert(begun)
        };
        let mut left_out = 0;
        if lately.is_over(now) {
            left_out = lately.lines.saturating_sub(MAX_LINES);
            *lately = begun;
        }
        lately.lines = lately.lines.saturating_add(1);
        (lately.lines <= MAX_LINES).then_some(left_out)
    }
}

impl Lately {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= WINDOW
    }
}

/// Lines about one peer in each [`WINDOW`].
const MAX_LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// Peers of which count is kept one by one.
const MAX_PEERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::net::IpAddr;

    fn peer(number: u32) -> PeerKey {
        PeerKey::new(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn a_line_that_cannot_be_written_ends_nothing() {
        say(|| panic!("no space left on device"));
    }

    #[test]
    fn a_peer_has_ten_lines_in_ten_seconds_and_what_was_left_out_is_counted() {
        let (mut lines, start) = (PeerLines::default(), clock::now());
        let said = (0..1_000).filter_map(|_| lines.may_say(peer(1), start)).count();
        assert_eq!(said, 10);
        assert_eq!(lines.may_say(peer(2), start), Some(0));
        assert_eq!(lines.may_say(peer(1), start + WINDOW), Some(990));
        assert_eq!(lines.may_say(peer(1), start + WINDOW), Some(0));
    }

    #[test]
    fn many_peers_share_ten_lines_once_the_table_is_full() {
        let (mut lines, start) = (PeerLines::default(), clock::now());
        let said = (0..100_000).filter_map(|number| lines.may_say(peer(number), start)).count();
        assert_eq!(said, MAX_PEERS + 10);
        assert_eq!(lines.lately.len(), MAX_PEERS);
        assert_eq!(lines.may_say(peer(999_999), start + WINDOW), Some(0));
        assert_eq!(lines.lately.len(), 1);
    }
}
