//! The history: what happened, page by page.

use serde::Deserialize;
use tokio::task::yield_now;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::Handle;
use zk_mini::history::Entry;
use zk_wire::Zxid;

use crate::app::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Query};
use crate::v1::entry::{EntryBody, Filter, given, hex, number};

/// Number of entries in an answer, unless the request says so, and at most.
const USUAL: usize = 1_000;
const MOST: usize = 10_000;

/// Number of entries that are taken at once. Clients of the server wait meanwhile, less than a millisecond.
const AT_ONCE: u64 = 1_000;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(history))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only what happened after this transaction; then the answer begins there, and `limit` cuts its end.
    since: Option<String>,
    /// Only entries behind the one with this number; then the answer begins there. The `seq` of the last one gives the next page.
    since_seq: Option<String>,
    /// Only entries before the one with this number. The `seq` of the first one gives the page before.
    before_seq: Option<String>,
    /// Path, or a pattern: `*` stands for any characters within one name, `/a/**` for everything below `/a`.
    path: Option<String>,
    /// Id of a session.
    session: Option<String>,
    /// Kind of entry, or several with commas between them.
    kind: Option<String>,
    /// True for what a person reads first: all but requests that went well, whose changes are entries of their own.
    #[serde(default)]
    #[param(default = false)]
    story: bool,
    /// Maximum number of entries, 1 to 10,000; 1,000 unless set.
    limit: Option<String>,
}

/// Entries of the history, oldest first: the first ones behind `since` or `since_seq`; without these the latest ones.
#[utoipa::path(get, path = "/history", tag = "history", params(Which), responses(
    (status = 200, body = [EntryBody]), (status = 400, body = ErrorBody),
))]
async fn history(app: App, Query(which): Query<Which>) -> Result<Json<Vec<EntryBody>>, ApiError> {
    let filter = Filter::read(which.path, which.session, which.kind)?;
    let since = given(which.since).map(|zxid| hex(&zxid)).transpose()?.map(Zxid::from);
    let since_seq = given(which.since_seq).map(|seq| number("since_seq", &seq)).transpose()?;
    let before_seq = given(which.before_seq).map(|seq| number("before_seq", &seq)).transpose()?;
    let limit = match given(which.limit) {
        Some(text) => usize::try_from(number("limit", &text)?).unwrap_or(usize::MAX),
        None => USUAL,
    };
    if !(1..=MOST).contains(&limit) {
        return Err(ApiError::bad_request(format!("limit is {limit}; it is a number from 1 to {MOST}")));
    }
    let next = app.server.next_seq();
    let before = before_seq.map_or(next, |seq| seq.min(next));
    let holds = |entry: &Entry| {
        since.is_none_or(|zxid| entry.zxid > zxid)
            && (!which.story || entry.is_of_story())
            && filter.holds(entry)
    };
    let entries = if since.is_some() || since_seq.is_some() {
        let from = since_seq.map_or(1, |seq| seq.saturating_add(1));
        first(&app.server, from..before, limit, holds).await
    } else {
        last(&app.server, before, limit, holds).await
    };
    Ok(Json(entries.into_iter().map(EntryBody::from).collect()))
}

/// Returns the first entries with these numbers for which `holds` is true.
async fn first(
    server: &Handle,
    numbers: std::ops::Range<u64>,
    limit: usize,
    holds: impl Fn(&Entry) -> bool,
) -> Vec<Entry> {
    let (mut found, mut next) = (Vec::new(), numbers.start);
    while next < numbers.end && found.len() < limit {
        let page = server.history_from(next, AT_ONCE as usize);
        let Some(last) = page.last() else { break };
        next = last.seq + 1;
        found.extend(page.into_iter().filter(|entry| entry.seq < numbers.end && holds(entry)));
        yield_now().await;
    }
    found.truncate(limit);
    found
}

/// Returns the last entries with numbers below `before` for which `holds` is true.
async fn last(server: &Handle, before: u64, limit: usize, holds: impl Fn(&Entry) -> bool) -> Vec<Entry> {
    let oldest = server.history_from(0, 1).first().map_or(before, |entry| entry.seq);
    let mut found = Vec::new();
    let mut rest = Backwards::new(oldest, before);
    while let Some(from) = rest.next_from()
        && found.len() < limit
    {
        let mut page = server.history_from(from, AT_ONCE as usize);
        page.retain(|entry| entry.seq < rest.before);
        if rest.take(page.len(), page.last().map(|entry| entry.seq)) {
            found.extend(page.into_iter().rev().filter(&holds));
        }
        yield_now().await;
    }
    found.truncate(limit);
    found.reverse();
    found
}

/// Numbers from the last one back to the oldest, in pages. Entries that are no longer kept leave gaps, of millions where clients
/// read much: so a page spans as many numbers as have about [`AT_ONCE`] entries.
#[derive(Debug)]
struct Backwards {
    oldest: u64,
    before: u64,
    span: u64,
}

impl Backwards {
    fn new(oldest: u64, before: u64) -> Self {
        Self { oldest, before, span: AT_ONCE }
    }

    /// Returns the number with which the next page begins; `None` at the end.
    fn next_from(&self) -> Option<u64> {
        (self.before > self.oldest).then(|| self.before.saturating_sub(self.span).max(self.oldest))
    }

    /// Notes the number of entries of a page, and that of its last one. Returns `false` if it may lack some, and is to be asked
    /// for again, from a later number on.
    fn take(&mut self, entries: usize, last: Option<u64>) -> bool {
        let is_full = entries as u64 >= AT_ONCE;
        if is_full && last.is_some_and(|last| last + 1 < self.before) {
            self.span /= 2;
            return false;
        }
        self.before = self.next_from().unwrap_or(self.oldest);
        if entries as u64 <= AT_ONCE / 2 {
            self.span = self.span.saturating_mul(2);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the numbers that are found, last first.
    fn walk(numbers: &[u64], before: u64) -> Vec<u64> {
        let mut rest = Backwards::new(numbers[0], before);
        let (mut found, mut looks) = (Vec::new(), 0);
        while let Some(from) = rest.next_from() {
            let page = numbers.iter().copied().filter(|seq| *seq >= from).take(AT_ONCE as usize);
            let page: Vec<_> = page.filter(|seq| *seq < rest.before).collect();
            if rest.take(page.len(), page.last().copied()) {
                found.extend(page.into_iter().rev());
            }
            looks += 1;
            assert!(looks < 100, "{} are found of {}, and {rest:?}", found.len(), numbers.len());
        }
        found
    }

    #[test]
    fn entries_before_a_gap_are_found_with_few_looks() {
        let dense = 1..=5_000;
        let sparse = (1..=10_000).map(|n| n * 10_000);
        let recent = 1_000_000_000..1_000_010_000;
        for numbers in [
            dense.clone().collect::<Vec<_>>(),
            dense.chain(recent.clone()).collect(),
            sparse.chain(recent.clone()).collect(),
            [7, 1_000_009_999].into(),
            recent.collect(),
        ] {
            let found = walk(&numbers, numbers.last().unwrap() + 1);
            assert!(found.iter().rev().eq(&numbers), "from {}: {} are found", numbers[0], found.len());
        }
    }
}
