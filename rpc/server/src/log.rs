//! Log lines about peers.

use std::sync::{Mutex, PoisonError};

use common::log::{LeftOut, LineLimit, quietly};
use common::{Millis, PeerKey, TokioClock};

/// Maximum number of lines about one peer in each [`WINDOW`].
const MAX_LINES: u32 = 10;
/// Time over which lines are counted.
const WINDOW: Millis = Millis(10_000);

/// Maximum number of peers that are counted separately.
const MAX_PEERS: usize = 256;

/// Bounds the number of lines about each peer.
#[derive(Debug)]
pub(crate) struct PeerLines {
    clock: TokioClock,
    limit: Mutex<LineLimit<Option<PeerKey>>>,
}

impl PeerLines {
    pub(crate) fn new(clock: TokioClock) -> Self {
        Self { clock, limit: Mutex::new(LineLimit::new(MAX_LINES, WINDOW, MAX_PEERS)) }
    }

    /// Writes a line about a peer, or about no particular one, unless there are too many.
    pub(crate) fn say(&self, peer: Option<PeerKey>, line: impl FnOnce()) {
        let now = self.clock.now();
        // Nothing that can panic runs under the lock.
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = limit.end_windows(now);
        let admitted = limit.admits(now, peer);
        drop(limit);
        ended.into_iter().for_each(say_left_out);
        if admitted {
            quietly(line);
        }
    }

    /// Writes the pending summaries of omitted lines.
    pub(crate) fn finish(&self) {
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = limit.end_windows(Millis(u64::MAX));
        drop(limit);
        ended.into_iter().for_each(say_left_out);
    }
}

fn say_left_out(left_out: LeftOut<Option<PeerKey>>) {
    let LeftOut { source, lines } = left_out;
    quietly(|| match source.flatten() {
        Some(peer) => tracing::warn!(%peer, lines, "too many lines about a peer; some were omitted"),
        None => tracing::warn!(lines, "too many lines; some were omitted"),
    });
}
