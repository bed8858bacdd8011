//! Entries of the history as JSON, and the filter of requests for them.

use serde::Serialize;
use utoipa::ToSchema;
use zk_mini::Glob;
use zk_mini::history::{Entry, EntryKind};
use zk_wire::{SessionId, Utc};

use crate::error::ApiError;
use crate::hex::{Hex, NotHex};
use crate::v1::paths;

/// Entry of the history: something that happened in the server.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryBody {
    /// Number of the entry: one more than that of the entry before.
    seq: u64,
    /// Transaction that it is about, or the last one before it.
    zxid: Hex,
    /// Wall-clock time, by ISO 8601, in UTC.
    #[schema(example = "2026-11-28T09:41:07.120Z")]
    time: String,
    /// `request`, `transaction`, `event`, `connect`, `disconnect`, `close`, `expiry`, `fault` or `server`.
    kind: &'static str,
    /// Session that it is about: the one that asked, that was told, or that has ended.
    session: Option<Hex>,
    /// Path that was asked for or changed.
    path: Option<String>,
    /// Event in a word or two: the operation of a request, `created`, `deleted`, `expired`, the type of a watch event.
    what: String,
    /// Reason, or further circumstances.
    because: Option<String>,
    /// Address of the client.
    client: Option<String>,
    /// Connection that it is about.
    connection: Option<Hex>,
    /// Number that the client gave to the request.
    xid: Option<i32>,
    /// Name of the error that a request was answered with.
    error: Option<String>,
}

impl From<Entry> for EntryBody {
    fn from(entry: Entry) -> Self {
        Self {
            seq: entry.seq,
            zxid: entry.zxid.into(),
            time: format!("{:#}", Utc(entry.time)),
            kind: entry.kind.name(),
            session: entry.session.map(Hex::from),
            path: entry.path.map(|path| path.to_string()),
            what: entry.what.into_owned(),
            because: entry.because,
            client: entry.client.map(|client| client.to_string()),
            connection: entry.conn.map(Hex::from),
            xid: entry.xid.map(|xid| xid.0),
            error: entry.error.map(|code| code.name().map_or_else(|| code.0.to_string(), Into::into)),
        }
    }
}

/// Condition on entries.
#[derive(Debug, Default)]
pub(super) struct Filter {
    path: Option<Glob>,
    session: Option<SessionId>,
    /// Empty for all.
    kinds: Vec<EntryKind>,
}

impl Filter {
    /// Reads the parameters of a request. An empty one stands for none.
    ///
    /// # Errors
    /// 400, with what is allowed.
    pub(super) fn read(
        path: Option<String>,
        session: Option<String>,
        kind: Option<String>,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            path: given(path).map(|path| paths::glob(&path)).transpose()?,
            session: given(session).map(|session| hex(&session)).transpose()?.map(Into::into),
            kinds: given(kind).map_or(Ok(Vec::new()), |kinds| kinds.split(',').map(kind_named).collect())?,
        })
    }

    /// Returns true if the condition holds.
    pub(super) fn holds(&self, entry: &Entry) -> bool {
        let is_at = |glob: &Glob| entry.path.as_deref().is_some_and(|path| glob.matches(path));
        self.path.as_ref().is_none_or(is_at)
            && self.session.is_none_or(|session| entry.session == Some(session))
            && (self.kinds.is_empty() || self.kinds.contains(&entry.kind))
    }
}

/// Returns a parameter, unless it is empty.
pub(super) fn given(parameter: Option<String>) -> Option<String> {
    parameter.filter(|text| !text.is_empty())
}

/// Reads an id or a zxid.
///
/// # Errors
/// 400, with an example.
pub(super) fn hex(text: &str) -> Result<Hex, ApiError> {
    text.parse().map_err(|error: NotHex| ApiError::bad_request(error.to_string()))
}

/// Reads the id of a fault or a connection: as it is answered, or as a decimal number, which the texts of the history have.
///
/// # Errors
/// 400, with an example.
pub(super) fn small_id(text: &str) -> Result<u64, ApiError> {
    decimal(text).map_or_else(|| hex(text).map(|id| id.0.cast_unsigned()), Ok)
}

/// Reads a number of a parameter.
///
/// # Errors
/// 400, with the name of the parameter.
pub(super) fn number(name: &str, text: &str) -> Result<u64, ApiError> {
    decimal(text).ok_or_else(|| {
        ApiError::bad_request(format!("{name} is {text:?}; it is a whole number, such as 100"))
    })
}

/// Reads digits only: Rust's parser would accept a sign.
fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn kind_named(name: &str) -> Result<EntryKind, ApiError> {
    EntryKind::named(name).ok_or_else(|| {
        let names: Vec<_> = EntryKind::ALL.iter().map(|kind| kind.name()).collect();
        ApiError::bad_request(format!("{name:?} is no kind of entry; kinds are {}", names.join(", ")))
    })
}
