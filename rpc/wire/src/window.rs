//! Credit: the bytes of messages that a side may send.

use crate::HEADER_LEN;

/// Bytes of messages that a side may still send, of one call or of a connection.
///
/// A message may be sent while the window is open, and costs the length of its frame. So the window may be exceeded by one
/// message, and a message of any length can be sent.
///
/// ```
/// use rpc_wire::SendWindow;
///
/// let mut window = SendWindow::new(20);
/// window.spend(SendWindow::cost(100));
/// assert!(!window.is_open());
/// assert!(window.grant(114));
/// assert!(window.is_open());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SendWindow(i64);

/// Bytes of messages that a side still takes, of one call or of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveWindow {
    /// Window of the peer, as it will be when all credit has arrived.
    peers: SendWindow,
    budget: u32,
    /// Bytes that have been taken and not been credited.
    taken: usize,
}

impl SendWindow {
    /// Opens a window with the bytes of a [`Budget`](crate::Budget).
    #[must_use]
    pub fn new(bytes: u32) -> Self {
        Self(i64::from(bytes))
    }

    /// Returns the cost of a message with a payload of this length.
    #[must_use]
    pub fn cost(payload_len: usize) -> usize {
        HEADER_LEN + payload_len
    }

    /// Returns true if a message may be sent.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.0 > 0
    }

    /// Returns true if messages of this cost, all together, may be sent and do not exceed the window.
    #[must_use]
    pub fn covers(self, cost: usize) -> bool {
        i64::try_from(cost).is_ok_and(|cost| cost <= self.0)
    }

    /// Records the cost of a message that is sent.
    pub fn spend(&mut self, cost: usize) {
        self.0 = self.0.saturating_sub(i64::try_from(cost).unwrap_or(i64::MAX));
    }

    /// Adds the bytes of a [`Credit`](crate::Credit). Returns false if the window would exceed 4,294,967,295 bytes.
    #[must_use]
    pub fn grant(&mut self, bytes: u32) -> bool {
        self.0 = self.0.saturating_add(i64::from(bytes));
        self.0 <= i64::from(u32::MAX)
    }
}

impl ReceiveWindow {
    /// Opens a window with the bytes of a [`Budget`](crate::Budget).
    #[must_use]
    pub fn new(budget: u32) -> Self {
        Self { peers: SendWindow::new(budget), budget, taken: 0 }
    }

    /// Records the cost of a message that has arrived. Returns false if the peer had no credit for it.
    #[must_use]
    pub fn receive(&mut self, cost: usize) -> bool {
        self.receive_all(cost, cost)
    }

    /// Records the cost of messages that have arrived together, the last of which costs `last`. Returns false if the peer had no
    /// credit for one of them.
    #[must_use]
    pub fn receive_all(&mut self, cost: usize, last: usize) -> bool {
        // A window only closes on the way, so the last message decides.
        self.peers.spend(cost.saturating_sub(last));
        let was_open = self.peers.is_open();
        self.peers.spend(last);
        was_open
    }

    /// Records the cost of messages that the application has taken. Returns the credit to send, once it is half of the
    /// budget.
    #[must_use]
    pub fn take(&mut self, cost: usize) -> Option<u32> {
        self.taken = self.taken.saturating_add(cost);
        if self.taken < (self.budget / 2).max(1) as usize {
            return None;
        }
        let credit = u32::try_from(self.taken).unwrap_or(u32::MAX);
        self.taken = 0;
        // The peer has spent what is given back here.
        let _ = self.peers.grant(credit);
        Some(credit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_exceeded_by_one_message_and_opens_again_by_credit() {
        let mut window = SendWindow::new(1);
        assert!(window.is_open() && window.covers(1) && !window.covers(2));
        window.spend(100);
        assert!(!window.is_open());
        assert!(window.grant(99) && !window.is_open());
        assert!(window.grant(1) && window.is_open());
        assert!(!window.grant(u32::MAX), "more than a window can hold");
    }

    #[test]
    fn credit_is_given_when_half_of_the_budget_was_taken() {
        let mut window = ReceiveWindow::new(100);
        assert!(window.receive(60) && window.receive(60) && !window.receive(14));
        assert_eq!([window.take(49), window.take(11)], [None, Some(60)]);
        assert_eq!(window.take(74), Some(74));
        assert!(window.receive(1));
    }
}
