//! Strategy of random days.

use std::time::Duration;

use proptest::prelude::{Just, Strategy};
use proptest::{collection, prop_oneof};

use crate::testing::day::Day;
use crate::testing::incident::Incident;

/// Maximum number of incidents in a day.
const INCIDENTS: usize = 16;

/// Number of sessions that incidents tell apart.
const SESSIONS: usize = 4;

/// Returns random days for clients with this session timeout: some incidents last much shorter, some longer than it.
/// A day without incidents is among them. Leave out or add incidents with `prop_map`:
///
/// ```
/// use std::time::Duration;
/// use zk_mini::testing::proptest::strategy::Strategy;
/// use zk_mini::testing::{Day, Incident, days};
///
/// /// Days on which the server never starts again.
/// fn quiet_days() -> impl Strategy<Value = Day> {
///     let is_quiet = |incident: &Incident| *incident != Incident::Restart;
///     days(Duration::from_secs(10))
///         .prop_map(move |day| Day::from_iter(day.incidents().iter().copied().filter(is_quiet)))
/// }
/// # let _ = quiet_days();
/// ```
pub fn days(session_timeout: Duration) -> impl Strategy<Value = Day> {
    collection::vec(incident(session_timeout), 0..=INCIDENTS).prop_map(Day::from)
}

fn incident(session_timeout: Duration) -> impl Strategy<Value = Incident> {
    let timeout = u64::try_from(session_timeout.as_millis()).unwrap_or(u64::MAX / 4).max(4);
    let short = move || (1..=timeout / 4).prop_map(Duration::from_millis);
    let any = move || prop_oneof![short(), (1..=2 * timeout).prop_map(Duration::from_millis)];
    prop_oneof![
        8 => any().prop_map(Incident::Wait),
        3 => (0..SESSIONS).prop_map(Incident::Expire),
        3 => (0..SESSIONS).prop_map(Incident::Disconnect),
        2 => (0..SESSIONS).prop_map(Incident::Freeze),
        1 => Just(Incident::FreezeServer),
        3 => Just(Incident::Thaw),
        1 => Just(Incident::Restart),
        2 => Just(Incident::LoseWrite),
        4 => Just(Incident::LoseReply),
        1 => any().prop_map(Incident::DelayRequest),
        1 => any().prop_map(Incident::DelayReply),
        1 => Just(Incident::RefuseConnection),
        1 => Just(Incident::RefuseSession),
        1 => any().prop_map(Incident::HoldEphemerals),
    ]
}
