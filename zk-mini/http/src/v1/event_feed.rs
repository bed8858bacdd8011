//! Feed of one event stream.

use std::time::Duration;

use axum::response::sse::Event;
use serde::Serialize;
use tokio::task::coop::consume_budget;
use zk_mini::{HistoryNews, HistoryStream};

use crate::event_streams::EventStreamPlace;
use crate::v1::entry::{EntryBody, Filter};

/// Time from an entry to the look at it: a busy server is asked once for all that happens meanwhile.
const PAUSE: Duration = Duration::from_millis(5);

/// Most entries that a stream holds.
const AT_ONCE: usize = 32;

/// Feed of one event stream. It takes entries only as fast as they are sent: what a slow reader has not got yet is in the history.
#[derive(Debug)]
pub(super) struct EventFeed {
    news: HistoryStream,
    /// Tag of the history.
    history: u32,
    filter: Filter,
    place: EventStreamPlace,
}

/// Data of the event `missed`.
#[derive(Serialize)]
struct Missed {
    missed: u64,
}

impl EventFeed {
    pub(super) fn new(news: HistoryStream, history: u32, filter: Filter, place: EventStreamPlace) -> Self {
        Self { news: news.with_pause(PAUSE).with_at_once(AT_ONCE), history, filter, place }
    }

    /// Returns the next event; `None` if the server has stopped.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            // Other requests get their turn, however many entries there are.
            consume_budget().await;
            let news = self.news.next().await?;
            self.place.hold(self.news.taken());
            match news {
                HistoryNews::Entry(entry) if self.filter.holds(&entry) => {
                    let id = event_id(entry.seq, self.history);
                    let event = Event::default().id(id).event(entry.kind.name());
                    return event.json_data(EntryBody::from(*entry)).ok();
                }
                HistoryNews::Missed(missed) => {
                    return Event::default().event("missed").json_data(Missed { missed }).ok();
                }
                _ => {}
            }
        }
    }
}

/// Returns the id of an event about an entry.
pub(super) fn event_id(seq: u64, history: u32) -> String {
    format!("{seq}-{history:x}")
}
