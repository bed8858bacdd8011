//! The history as it happens: server-sent events.

use std::convert::Infallible;

use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Query;
use crate::v1::entry::{EntryBody, Filter, given, number};
use crate::v1::event_feed::{EventFeed, event_id};

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(events))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Begins behind the entry with this number, 0 for all that are kept; only new entries unless set. `Last-Event-ID` goes first.
    since_seq: Option<String>,
    /// Path, or a pattern: `*` stands for any characters within one name, `/a/**` for everything below `/a`.
    path: Option<String>,
    /// Id of a session.
    session: Option<String>,
    /// Kind of entry, or several with commas between them.
    kind: Option<String>,
}

/// Entries of the history as they happen, as server-sent events: `id` is the entry's `seq` with a tag of the history, which another run
/// of the server does not have, `event` its `kind`, `data` the entry. First comes an `id` alone, behind which the stream begins. The event `missed` with `{"missed":N}` tells how many entries were
/// pushed out before they could be sent. A stream resumes behind `Last-Event-ID`, with all entries if that has another tag; it ends with
/// the server, and if its client does not read.
#[utoipa::path(get, path = "/events", tag = "history", params(Which, ("Last-Event-ID" = Option<String>, Header)), responses(
    (status = 200, body = EntryBody, content_type = "text/event-stream"), (status = 400, body = ErrorBody),
    (status = 503, body = ErrorBody, description = "too many streams"),
))]
async fn events(app: App, headers: HeaderMap, Query(which): Query<Which>) -> Result<Response, ApiError> {
    let filter = Filter::read(which.path, which.session, which.kind)?;
    let (next, history) = (app.server.next_seq(), app.server.history_id());
    let seen = match headers.get("last-event-id") {
        Some(id) => Some(seen(&String::from_utf8_lossy(id.as_bytes()), history)?),
        None => given(which.since_seq).map(|seq| number("since_seq", &seq)).transpose()?,
    };
    let begin = match seen {
        // A number of another history, such as that of an earlier process.
        Some(seen) if seen >= next => 1,
        Some(seen) => seen + 1,
        None => next,
    };
    let place = app.shared.event_stream()?;
    let feed = EventFeed::new(app.server.watch_history(begin), history, filter, place);
    let opening = stream::iter([Ok::<Event, Infallible>(Event::default().id(event_id(begin - 1, history)))]);
    let events = stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    });
    let keep_alive = KeepAlive::new().interval(app.shared.settings.event_keep_alive);
    Ok(Sse::new(opening.chain(events)).keep_alive(keep_alive).into_response())
}

/// Returns the number of the entry that an event was about; 0 if that was in another history. A number alone is taken for one of this
/// history.
fn seen(id: &str, history: u32) -> Result<u64, ApiError> {
    let Some((seq, tag)) = id.split_once('-') else { return number("Last-Event-ID", id) };
    let tag = u32::from_str_radix(tag, 16).map_err(|_| {
        ApiError::bad_request(format!(
            "Last-Event-ID is {id:?}; it is the id of an event, such as 100-1a22bb"
        ))
    })?;
    let seq = number("Last-Event-ID", seq)?;
    Ok(if tag == history { seq } else { 0 })
}
