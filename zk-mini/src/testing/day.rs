//! Days: incidents in order, and their performance on a server.

use std::fmt;
use std::time::Duration;

use zk_wire::OpCode;

use crate::handle::{Fault, Handle, Session};
use crate::testing::incident::Incident;
use crate::{On, Then};

/// Operations that write. `CREATE` stands for all kinds of create.
const WRITES: [OpCode; 5] =
    [OpCode::CREATE, OpCode::DELETE, OpCode::SET_DATA, OpCode::SET_ACL, OpCode::MULTI];

/// Incidents in the order in which they happen. Its `Debug` output is a list of sentences.
///
/// ```
/// use std::time::Duration;
/// use zk_mini::testing::{Day, Incident};
///
/// let day = Day::from([Incident::LoseReply, Incident::Wait(Duration::from_secs(3)), Incident::Expire(0)]);
/// assert_eq!(
///     format!("{day:?}"),
///     "a day:\n   1. the reply to the next write will be lost\n   2. 3s pass\n   3. session 0 expires"
/// );
/// ```
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Day {
    incidents: Vec<Incident>,
}

/// Parts and rules that last until the end of a day.
#[derive(Default)]
struct Lasting {
    faults: Vec<Fault>,
    frozen: Vec<Session>,
}

impl Day {
    /// Returns the incidents in order.
    #[must_use]
    pub fn incidents(&self) -> &[Incident] {
        &self.incidents
    }

    /// Lets the day happen. At the end everything is mended: nothing is frozen, and faults that have not happened will not.
    /// Delays and held nodes end by themselves, when their time is over.
    ///
    /// Time passes by the server's clock if it is held ([`Builder::manual_clock`](crate::Builder::manual_clock)), else
    /// by tokio's, which [`in_virtual_time`](super::in_virtual_time) makes fast.
    pub async fn play(&self, zk: &Handle) {
        let mut lasting = Lasting::default();
        for incident in &self.incidents {
            lasting.happen(zk, *incident).await;
        }
        lasting.thaw(zk).await;
    }
}

impl Lasting {
    async fn happen(&mut self, zk: &Handle, incident: Incident) {
        match incident {
            Incident::Wait(time) => wait(zk, time).await,
            Incident::Expire(n) => {
                if let Some(session) = session(zk, n) {
                    session.expire().await;
                }
            }
            Incident::Disconnect(n) => {
                if let Some(session) = session(zk, n) {
                    session.disconnect().await;
                }
            }
            Incident::Freeze(n) => {
                if let Some(session) = session(zk, n) {
                    session.freeze();
                    self.frozen.push(session);
                }
            }
            Incident::FreezeServer => zk.freeze(),
            Incident::Thaw => self.thaw(zk).await,
            Incident::Restart => zk.restart().await,
            Incident::LoseWrite => self.fault(zk, On::ops(&WRITES), Then::disconnect()),
            Incident::LoseReply => self.fault(zk, On::ops(&WRITES), Then::apply_and_lose_reply()),
            Incident::DelayRequest(time) => self.fault(zk, On::any(), Then::delay(time)),
            Incident::DelayReply(time) => self.fault(zk, On::any(), Then::apply_and_delay_reply(time)),
            Incident::RefuseConnection => self.fault(zk, On::connect(), Then::refuse()),
            Incident::RefuseSession => self.fault(zk, On::reattach(), Then::refuse()),
            Incident::HoldEphemerals(time) => self.fault(zk, On::expiry(), Then::hold_ephemerals(time)),
        }
    }

    fn fault(&mut self, zk: &Handle, on: On, then: Then) {
        self.faults.push(zk.fault(on.times(1), then));
    }

    async fn thaw(&mut self, zk: &Handle) {
        for session in self.frozen.drain(..) {
            session.thaw().await;
        }
        zk.thaw().await;
    }
}

/// Returns a session by its number among those that are alive.
fn session(zk: &Handle, n: usize) -> Option<Session> {
    let sessions = zk.all_sessions();
    let n = n.checked_rem(sessions.len())?;
    sessions.iter().nth(n)
}

async fn wait(zk: &Handle, time: Duration) {
    if zk.is_clock_held() {
        zk.advance(time).await;
    } else {
        tokio::time::sleep(time).await;
    }
}

impl From<Vec<Incident>> for Day {
    fn from(incidents: Vec<Incident>) -> Self {
        Self { incidents }
    }
}

impl<const N: usize> From<[Incident; N]> for Day {
    fn from(incidents: [Incident; N]) -> Self {
        Self { incidents: incidents.into() }
    }
}

impl FromIterator<Incident> for Day {
    fn from_iter<I: IntoIterator<Item = Incident>>(incidents: I) -> Self {
        Self { incidents: incidents.into_iter().collect() }
    }
}

/// The day as sentences.
impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.incidents.is_empty() { "a day without incidents" } else { "a day:" })?;
        let mut numbered = self.incidents.iter().zip(1..);
        numbered.try_for_each(|(incident, n)| write!(f, "\n{n:>4}. {incident}"))
    }
}
