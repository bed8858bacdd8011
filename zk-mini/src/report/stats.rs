//! Counters of a server and of its connections.

use zk_wire::{DecodeError, Fields, Millis, OpCode, RequestHeader, SessionId, Xid, Zxid};

use crate::core::Totals;

/// Counters of one server, since its start or the last `srst`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ServerStats {
    /// Requests received by all connections, also by those that are gone.
    pub received: u64,
    /// Frames sent by all connections, also by those that are gone.
    pub sent: u64,
    /// Latency of requests that took no zxid.
    pub reads: Latency,
    /// Latency of requests that took one.
    pub updates: Latency,
    /// Bytes received, with the length fields.
    pub bytes_received: u64,
    /// Bytes of replies.
    pub reply_bytes: u64,
    /// Bytes of watch events.
    pub event_bytes: u64,
    /// Lengths of frames sent; `None` if there were none.
    pub frame_lengths: Option<FrameLengths>,
    /// Requests for sessions.
    pub handshakes: u64,
    /// Handshakes that named a session.
    pub revalidations: u64,
    /// Connections that were one too many for their address.
    pub rejected: u64,
    /// Connections that their peers have closed, with or without a session.
    pub dropped: u64,
    /// Connections that were closed because they never asked for a session.
    pub sessionless_expired: u64,
    /// Sessions that have expired.
    pub sessions_expired: u64,
}

impl ServerStats {
    /// Counts a frame that is sent. Behind its length is the number of the request that it replies to, or that of watch
    /// events.
    pub(crate) fn frame_sent(&mut self, frame: &[u8]) {
        let length = frame.len().saturating_sub(4);
        let bytes = u64::try_from(length).unwrap_or(u64::MAX);
        if frame.get(4..8) == Some(&Xid::NOTIFICATION.0.to_be_bytes()) {
            self.event_bytes += bytes;
        } else {
            self.reply_bytes += bytes;
        }
        let (min, max) = self.frame_lengths.map_or((length, length), |lengths| (lengths.min, lengths.max));
        self.frame_lengths = Some(FrameLengths { last: length, min: min.min(length), max: max.max(length) });
        self.sent += 1;
    }

    /// Adds the counters of another server.
    pub(crate) fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.sent += other.sent;
        self.reads = self.reads.merged(&other.reads);
        self.updates = self.updates.merged(&other.updates);
        self.bytes_received += other.bytes_received;
        self.reply_bytes += other.reply_bytes;
        self.event_bytes += other.event_bytes;
        self.frame_lengths = match (self.frame_lengths, other.frame_lengths) {
            (Some(own), Some(other)) => Some(FrameLengths {
                last: other.last,
                min: own.min.min(other.min),
                max: own.max.max(other.max),
            }),
            (own, other) => own.or(other),
        };
        self.handshakes += other.handshakes;
        self.revalidations += other.revalidations;
        self.rejected += other.rejected;
        self.dropped += other.dropped;
        self.sessionless_expired += other.sessionless_expired;
        self.sessions_expired += other.sessions_expired;
    }

    /// Returns the latency of all requests.
    #[must_use]
    pub fn latency(&self) -> Latency {
        self.reads.merged(&self.updates)
    }
}

/// Lengths of the frames that were sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FrameLengths {
    /// Length of the last one.
    pub last: usize,
    /// Shortest length.
    pub min: usize,
    /// Longest length.
    pub max: usize,
}

/// Counters of one connection, since it was accepted or the last `crst`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Frames received.
    pub received: u64,
    /// Frames sent.
    pub sent: u64,
    /// Op code of the last request.
    pub op: Option<OpCode>,
    /// Number of the last request that has one which is not negative.
    pub xid: Option<i32>,
    /// Last zxid of the server after the last request.
    pub zxid: Option<Zxid>,
    /// Time at which the last request was handled, by the monotonic clock.
    pub answered: Millis,
    /// Latency of the last request in milliseconds.
    pub last_latency: u64,
    /// Latency of all requests in milliseconds.
    pub latency: Totals,
}

/// Frames of one connection that were handled in one turn.
#[derive(Debug, Default)]
pub(crate) struct FrameBatch {
    pub(crate) frames: u64,
    /// Frames that took a zxid.
    pub(crate) updates: u64,
    pub(crate) bytes: u64,
    /// Frames that asked for a session: the first of a connection.
    pub(crate) handshakes: u64,
    /// Handshakes that named a session.
    pub(crate) revalidations: u64,
    pub(crate) op: Option<OpCode>,
    pub(crate) xid: Option<i32>,
}

impl FrameBatch {
    /// Adds a frame. Unreadable headers are left to the core. `handshake` is the server's last zxid for a handshake: the
    /// session of a client that has seen a later zxid is not looked up.
    pub(crate) fn add(&mut self, frame: &[u8], handshake: Option<Zxid>) {
        self.frames += 1;
        self.bytes += 4 + u64::try_from(frame.len()).unwrap_or(u64::MAX);
        if let Some(last_zxid) = handshake {
            self.handshakes += 1;
            self.revalidations += u64::from(names_session(frame, last_zxid));
            self.op = Some(OpCode::CREATE_SESSION);
            return;
        }
        let Ok(RequestHeader { xid, op }) = RequestHeader::read(&mut Fields::new(frame)) else { return };
        match op {
            OpCode::AUTH | OpCode::SASL => {}
            op => self.op = Some(op),
        }
        // Clients give their pings and the like negative numbers.
        self.xid = Some(xid.0).filter(|xid| *xid >= 0).or(self.xid);
    }
}

/// Returns true if a connect request names a session that the server would look up.
fn names_session(frame: &[u8], last_zxid: Zxid) -> bool {
    let mut fields = Fields::new(frame);
    let mut read = || -> Result<(i64, i64), DecodeError> {
        fields.int("ConnectRequest.protocol_version")?;
        let seen = fields.long("ConnectRequest.last_zxid_seen")?;
        fields.int("ConnectRequest.timeout")?;
        Ok((seen, fields.long("ConnectRequest.session_id")?))
    };
    read().is_ok_and(|(seen, session)| seen <= last_zxid.0 && session != SessionId::NONE.0)
}

/// Latency of requests, in milliseconds: totals and distribution.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Latency {
    /// Number, sum and extremes.
    pub totals: Totals,
    /// Number of requests that took 0 ms, 1 ms, up to 3 ms, up to 7 ms, and so on; the last for everything longer.
    spread: [u64; 20],
}

impl Latency {
    /// Adds `count` requests of the same latency.
    pub(crate) fn add(&mut self, millis: u64, count: u64) {
        self.totals.add(millis, count);
        let bits = usize::try_from(u64::BITS - millis.leading_zeros()).unwrap_or(usize::MAX);
        self.spread[bits.min(self.spread.len() - 1)] += count;
    }

    /// Returns an upper bound of the latency of this share of the requests, in thousandths; it is less than twice the
    /// true value.
    #[must_use]
    pub fn percentile(&self, thousandths: u64) -> u64 {
        let wanted = (self.totals.count * thousandths).div_ceil(1_000);
        let mut seen = 0;
        for (bits, count) in self.spread.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return self.totals.max.min((1 << bits) - 1);
            }
        }
        self.totals.max
    }

    fn merged(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        let (a, b) = (self.totals, other.totals);
        merged.totals = match (a.count, b.count) {
            (_, 0) => a,
            (0, _) => b,
            _ => Totals {
                count: a.count + b.count,
                sum: a.sum + b.sum,
                min: a.min.min(b.min),
                max: a.max.max(b.max),
            },
        };
        for (sum, count) in merged.spread.iter_mut().zip(other.spread) {
            *sum += count;
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_have_a_mean_of_four_digits_and_percentiles_that_bound_them() {
        let mut latency = Latency::default();
        assert_eq!((latency.totals.mean(), latency.percentile(999)), (0.0, 0));
        latency.add(1, 2);
        latency.add(68, 1);
        latency.add(5, 0);
        assert_eq!(latency.totals, Totals { count: 3, sum: 70, min: 1, max: 68 });
        assert_eq!(format!("{:?}", latency.totals.mean()), "23.3333");
        assert_eq!((latency.percentile(500), latency.percentile(950)), (1, 68));
    }

    #[test]
    fn reads_and_updates_together_are_all_requests() {
        let mut stats = ServerStats::default();
        stats.reads.add(2, 1);
        assert_eq!(stats.latency().totals.min, 2, "no updates are not one of 0 ms");
        stats.updates.add(9, 3);
        assert_eq!(stats.latency().totals, Totals { count: 4, sum: 29, min: 2, max: 9 });
        assert_eq!(stats.latency().percentile(500), 9);
    }

    #[test]
    fn a_batch_has_the_last_op_and_the_last_number_that_is_not_negative() {
        let mut batch = FrameBatch::default();
        batch.add(&[0, 0, 0, 7, 0, 0, 0, 4], None);
        batch.add(&[0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 11], None);
        batch.add(&[0, 0, 0], None);
        assert_eq!((batch.op, batch.xid), (Some(OpCode::PING), Some(7)));
        assert_eq!((batch.frames, batch.bytes), (3, 12 + 12 + 7));
    }

    #[test]
    fn a_handshake_that_names_a_session_is_a_revalidation_unless_it_has_seen_a_later_zxid() {
        let hello = |seen: i64, session: i64| {
            [&[0; 4][..], &seen.to_be_bytes(), &[0; 4], &session.to_be_bytes(), &[0; 4]].concat()
        };
        let mut batch = FrameBatch::default();
        for (seen, session) in [(0, 0), (0, 7), (5, 7), (6, 7), (6, 0)] {
            batch.add(&hello(seen, session), Some(Zxid(5)));
        }
        batch.add(&[0; 4], Some(Zxid(5)));
        assert_eq!((batch.handshakes, batch.revalidations), (6, 2));
    }
}
