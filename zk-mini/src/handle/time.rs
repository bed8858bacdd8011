//! Control of the time of a server.

use std::time::Duration;

use common::Clock;

use crate::core::Now;
use crate::handle::Handle;
use crate::shell::state::ServerState;

/// Time cannot be moved by hand while the clock runs by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "this server's clock runs by itself: hold it with `hold_clock()`, or build the server with `manual_clock()`, to move time"
)]
pub struct ClockRuns;

/// Jump of a wall clock; see [`Handle::jump_wall_clock`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Jump {
    /// Into the future.
    Forward(Duration),
    /// Into the past.
    Back(Duration),
}

/// Time. A server has two clocks. Its monotonic clock starts at zero: by it sessions expire, containers are checked, and
/// delays end. Its wall clock is shown in the times of nodes, and decides when a node's time to live is over. Both run
/// by themselves, unless they are held: then they move by hand.
impl Handle {
    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> Now {
        self.engine.look(|state| state.clock.now())
    }

    /// Returns true if the clock moves only by hand: since the start with
    /// [`Builder::manual_clock`](crate::Builder::manual_clock), or since [`hold_clock`](Self::hold_clock).
    #[must_use]
    pub fn is_clock_held(&self) -> bool {
        self.engine.look(|state| state.clock.is_held())
    }

    /// Returns a clock that follows this server's, running or held, for clients in this process: [`advance`](Self::advance) then
    /// moves server and clients together. When the server stops, the clock runs by itself.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use zk_client::{Client, CreateMode};
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().manual_clock().start().await?;
    /// let observer = Client::builder().servers(zk.connect_string()).clock(zk.clock()).connect().await?;
    /// let client = Client::builder().servers(zk.connect_string()).clock(zk.clock()).connect().await?;
    /// client.create("/leader", "me", CreateMode::Ephemeral).await?;
    ///
    /// zk.advance(Duration::from_secs(3600)).await; // both go on pinging
    /// assert!(observer.exists("/leader").await?.is_some());
    /// zk.session_of("/leader").ok_or("no session")?.freeze(); // it falls silent
    /// zk.advance(Duration::from_secs(30)).await;
    /// assert!(observer.exists("/leader").await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.engine.share_clock().clock()
    }

    /// Returns `tickTime`, the unit of session expiry.
    #[must_use]
    pub fn tick(&self) -> Duration {
        self.engine.look(|state| state.core.config().tick).into()
    }

    /// Returns the time until the next [deadline](Self::advance_to_next_deadline); `None` if nothing will ever happen
    /// by itself. Nodes that the server will delete are searched, so this takes longer the more there are.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().manual_clock().start().await?;
    /// assert_eq!(zk.next_deadline(), None);
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// let until_expiry = zk.next_deadline().ok_or("no session")?;
    /// assert!(until_expiry >= zk.sessions()[0].timeout);
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.engine.look(ServerState::until_next_event)
    }

    /// Takes over a clock that runs: from the present time on, time moves only by [`advance`](Self::advance). What is due
    /// has been done when this returns. Without effect on a clock that is held.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), zk_mini::Error> {
    /// use std::time::Duration;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?; // in real time
    /// zk.hold_clock().await;
    /// let held = zk.now();
    /// zk.advance(Duration::from_secs(3600)).await;
    /// assert_eq!(zk.now().mono.0 - held.mono.0, 3_600_000);
    /// zk.release_clock(); // from here on in real time again
    /// # Ok(())
    /// # }
    /// ```
    pub async fn hold_clock(&self) {
        self.engine.hold_clock();
        // This handles the input that has arrived by now, then does what is due. It fails if another task releases the clock.
        let _ = self.try_advance(Duration::ZERO).await;
    }

    /// Lets the clock run by itself, on from the time that it shows. Nothing jumps. Without effect on a clock that runs.
    pub fn release_clock(&self) {
        self.engine.release_clock();
    }

    /// Moves a clock that is held.
    ///
    /// First, input that peers have written before is handled, as far as each connection may go on. Then the server
    /// acts at each of its deadlines on the way, in order, with the clock at that deadline. When this returns, all effects of
    /// the move have been performed: sessions have expired, their nodes are gone, watch events and replies are in the
    /// connections (as far as their peers take them), and connections that the server closes are closed.
    ///
    /// Clients with clocks of their own do not notice: their requests that arrive meanwhile are handled after the whole move,
    /// and their reactions are not waited for. A move longer than their session timeout ends their sessions.
    ///
    /// Clients on the [clock of this server](Self::clock) move with it: each acts at its deadlines, such as pings, and the server
    /// handles what it sends, before time goes on. What they send at a time counts before what is due in the server
    /// at that time. Tasks that merely use such clients have a few turns at each time; to be waited for, they
    /// [take part](Clock::attend). A client that does not act within two seconds of real time, because its runtime is blocked or
    /// is not polled, is left behind, and waited for again once it acts. Dropping the future ends the move at the time that
    /// it has reached.
    ///
    /// # Panics
    /// If the clock runs by itself: see [`hold_clock`](Self::hold_clock) and
    /// [`Builder::manual_clock`](crate::Builder::manual_clock).
    pub async fn advance(&self, by: Duration) {
        self.try_advance(by).await.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Moves a clock that is held, as [`advance`](Self::advance) does.
    ///
    /// # Errors
    /// [`ClockRuns`] if it runs by itself.
    pub async fn try_advance(&self, by: Duration) -> Result<(), ClockRuns> {
        if let Some(followers) = self.engine.followers() {
            let moved = self.engine.move_together(&followers, |_| Some(by)).await;
            return moved.map(|_| ()).ok_or(ClockRuns);
        }
        self.handle_pending_input().await;
        if !self.engine.advance(by) {
            return Err(ClockRuns);
        }
        self.passed().await;
        Ok(())
    }

    /// Moves a clock that is held to the next time at which something happens by itself: a session expires, a
    /// delay ends, a connection that has asked for no session is closed, a check deletes a container or a node whose time to
    /// live is over, or a client on the [clock of this server](Self::clock) acts. Otherwise it is [`advance`](Self::advance). Returns how far it went; `None`, and time stands still,
    /// if nothing will ever happen.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::{Client, CreateMode};
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().manual_clock().start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// client.create("/leader", "me", CreateMode::Ephemeral).await?;
    ///
    /// let passed = zk.advance_to_next_deadline().await; // its session expires
    /// assert!(passed.is_some() && zk.get("/leader").is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If the clock runs by itself, as for [`advance`](Self::advance).
    pub async fn advance_to_next_deadline(&self) -> Option<Duration> {
        self.try_advance_to_next_deadline().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Moves a clock that is held, as [`advance_to_next_deadline`](Self::advance_to_next_deadline) does.
    ///
    /// # Errors
    /// [`ClockRuns`] if it runs by itself.
    pub async fn try_advance_to_next_deadline(&self) -> Result<Option<Duration>, ClockRuns> {
        if let Some(followers) = self.engine.followers() {
            let moved = self.engine.move_together(&followers, ServerState::until_next_event).await;
            return moved.ok_or(ClockRuns);
        }
        self.handle_pending_input().await;
        let passed = self.engine.advance_to_next_deadline().ok_or(ClockRuns)?;
        self.passed().await;
        Ok(passed)
    }

    /// Moves the wall clock alone, as an administrator or NTP does: the times of nodes jump, and a node's time to live
    /// is measured by it, as in ZooKeeper. Sessions do not notice. From the first jump on, the wall clock runs
    /// with the monotonic clock, and no longer follows the machine's.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), zk_mini::Error> {
    /// use std::time::Duration;
    /// use zk_mini::{Jump, ZkMini};
    ///
    /// let zk = ZkMini::builder().manual_clock().start().await?;
    /// let before = zk.now();
    /// zk.jump_wall_clock(Jump::Back(Duration::from_secs(3600)));
    /// assert_eq!(zk.now().mono, before.mono);
    /// assert_eq!(zk.now().wall.0, before.wall.0 - 3_600_000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn jump_wall_clock(&self, by: Jump) {
        let millis = |by: Duration| i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.engine.jump_wall_clock(match by {
            Jump::Forward(by) => millis(by),
            Jump::Back(by) => -millis(by),
        });
    }

    /// Lets every connection handle the input that has arrived.
    pub(super) async fn handle_pending_input(&self) {
        self.engine.handle_arrived_input().await;
    }

    /// Waits until all effects of a move have been performed.
    pub(super) async fn passed(&self) {
        self.engine.passed().await;
    }
}
