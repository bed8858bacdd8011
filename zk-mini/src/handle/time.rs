//! Control of the time of a server.

use std::sync::Arc;
use std::time::Duration;

use crate::handle::Handle;

impl Handle {
    /// Moves a manual clock.
    ///
    /// First, input that peers have written before is handled, as far as each connection may go on. Then the server
    /// acts at each of its deadlines on the way, in order, with the clock at that deadline. Requests that arrive
    /// meanwhile are handled after the whole move: to keep a session alive for a long time, ping between short moves. When this returns, all effects of the move have been performed: sessions have expired, their nodes are
    /// gone, watch events and replies are in the connections (as far as their peers take them), and connections that
    /// the server closes are closed. The clients' reactions are not waited for.
    ///
    /// # Panics
    /// If the server was not built with [`Builder::manual_clock`].
    pub async fn advance(&self, by: Duration) {
        let engine = Arc::clone(&self.engine);
        // The caller's runtime may have no drivers for sockets. This fails only if ours has ended.
        let _ = self.engine.runtime.spawn(async move { engine.handle_pending_input().await }).await;
        let moved = self.engine.advance(by);
        assert!(moved, "this server has the real clock: build it with `manual_clock()` to move time");
        self.engine.settled().await;
        for barrier in self.engine.barriers() {
            // Its sender is dropped when the barrier is passed.
            let _ = barrier.await;
        }
    }
}
