//! Waiting for a condition, without sleeping.

use std::fmt;
use std::time::Duration;

use crate::core::history::count;
use crate::handle::Handle;

/// Maximum numbers of sessions, and of entries of the history, that the text of a [`TimedOut`] lists.
const SESSIONS: usize = 20;
const ENTRIES: usize = 10;

/// A condition did not hold in time. The text says how the server looked then.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TimedOut {
    /// Limit that has passed.
    pub limit: Duration,
    /// State of the server at that time, in lines.
    pub state: String,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the condition did not hold within {:?}\n{}", self.limit, self.state)
    }
}

impl std::error::Error for TimedOut {}

impl Handle {
    /// Waits until a condition holds. It is asked now, and after everything that happens in the server.
    ///
    /// The limit is in real time, whatever the server's clock is: it only keeps a test from hanging. If the server runs by
    /// tokio's paused clock, the limit does, too.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let servers = zk.connect_string();
    /// let client = tokio::spawn(async move { Client::connect(&servers).await });
    /// zk.wait_for(|zk| zk.sessions().len() == 1, Duration::from_secs(5)).await?;
    ///
    /// let error = zk.wait_for(|zk| zk.get("/never").is_some(), Duration::ZERO).await.unwrap_err();
    /// assert!(error.to_string().contains("1 session and 1 connection"), "{error}");
    /// # drop(client.await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TimedOut`] if it does not hold at the end of the limit.
    pub async fn wait_for(
        &self,
        mut condition: impl FnMut(&Self) -> bool,
        limit: Duration,
    ) -> Result<(), TimedOut> {
        let watching = self.engine.changes.watch();
        let holds = async {
            loop {
                let changed = watching.changed();
                if condition(self) {
                    return;
                }
                changed.await;
                // In a busy server there is always a change: without this the limit, and other tasks, would not get their turn.
                tokio::task::yield_now().await;
            }
        };
        if self.engine.runtime.timeout(limit, holds).await.is_ok() || condition(self) {
            return Ok(());
        }
        Err(TimedOut { limit, state: self.describe() })
    }

    /// Describes the state in lines.
    fn describe(&self) -> String {
        let (sessions, connections) = (self.sessions(), self.connections());
        let status = self.status();
        let mut lines = vec![format!(
            "the server is at zxid {}, with {} and {}",
            status.last_zxid,
            count(sessions.len() as u64, "session"),
            count(connections.len() as u64, "connection"),
        )];
        let rules = self.faults().len() as u64;
        for (holds, line) in [
            (status.stopped, "it is stopped".to_owned()),
            (status.down, "it is down".to_owned()),
            (status.frozen, "it is frozen".to_owned()),
            (status.clock_held, "its clock is held: time passes by `advance` alone".to_owned()),
            (status.read_only, "its disk is lost, and it refuses writes".to_owned()),
            (rules > 0, format!("it has {}", count(rules, "fault rule"))),
        ] {
            if holds {
                lines.push(line);
            }
        }
        lines.extend(sessions.iter().take(SESSIONS).map(ToString::to_string));
        if sessions.len() > SESSIONS {
            lines.push(format!("and {} more sessions", sessions.len() - SESSIONS));
        }
        let entries = self.history().last(ENTRIES);
        if !entries.is_empty() {
            lines.push("what happened last:".into());
            lines.extend(entries.iter().map(ToString::to_string));
        }
        lines.join("\n")
    }
}
