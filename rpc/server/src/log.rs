//! Log lines about peers.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use common::log::{LeftOut, LineLimit, Shown, quietly};
use common::{Millis, PeerKey, TokioClock};
use rpc_wire::Code;

use crate::session::End;

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

/// Tells why a connection has ended.
pub(crate) fn say_ended(end: End, peer: SocketAddr, lines: &PeerLines) {
    match end {
        End::Drained | End::Lost => {}
        end @ End::Unread => quietly(|| tracing::debug!(%peer, error = %end, "connection ended")),
        End::Refused(status) => {
            let shown = status.to_string();
            lines.say(Some(PeerKey::new(peer.ip())), || match status.code {
                // Port scans and silent clients are common and harmless.
                Code::INVALID_ARGUMENT | Code::UNAVAILABLE => {
                    tracing::debug!(%peer, status = %Shown::text(&shown), "connection refused");
                }
                _ => tracing::warn!(%peer, status = %Shown::text(&shown), "connection refused"),
            });
        }
        End::Evicted => lines.say(Some(PeerKey::new(peer.ip())), || {
            tracing::warn!(%peer, "connection closed to make room for others");
        }),
    }
}

/// Tells that a connection was refused before its session.
pub(crate) fn say_refused(peer: SocketAddr, why: &str, lines: &PeerLines) {
    lines.say(Some(PeerKey::new(peer.ip())), || tracing::warn!(%peer, "connection refused: {why}"));
}
