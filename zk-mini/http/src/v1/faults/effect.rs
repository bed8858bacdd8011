//! Effects of rules as JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zk_mini::Then;
use zk_wire::ErrorCode;

use crate::error::ApiError;
use crate::whole::Whole;

/// Longest delay in milliseconds: 100 years.
const LONGEST: u64 = 100 * 31_557_600_000;

/// Effect of a rule: one of these.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Effect {
    /// Requests: answers with this error, by its name in ZooKeeper's `KeeperException.Code`, without applying the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "NONODE")]
    fail: Option<Code>,
    /// Requests, handshakes, events: everything happens so much later.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<Whole>,
    /// Requests, handshakes: applies them at once, and sends the reply so much later.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_reply_ms: Option<Whole>,
    /// Requests, handshakes: closes the connection before applying them, or behind that, instead of the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    drop: Option<Moment>,
    /// Requests, handshakes: never answers, and does not apply them, or does.
    #[serde(skip_serializing_if = "Option::is_none")]
    silent: Option<Moment>,
    /// Requests, handshakes: gives the connection a slow link, until the rule is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<Slow>,
    /// Events: are not sent. True, or left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    drop_event: Option<bool>,
    /// Handshakes: `connect` is closed without an answer, `reattach` answered as if the session had expired. True, or left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    refuse: Option<bool>,
    /// Expiries: the ephemeral nodes of the session stay for a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_ephemerals_ms: Option<Whole>,
}

/// Error code, by its name, or by its number if ZooKeeper has no name for it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged, expecting = "the name of an error code, such as \"NONODE\"")]
enum Code {
    Name(String),
    Number(i32),
}

/// Moment of a fault: before the request is applied, or after.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Moment {
    BeforeApply,
    AfterApply,
}

/// Slow link.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Slow {
    /// Time that every frame takes in addition.
    latency_ms: Whole,
    /// Maximum number of bytes per second in each direction; without a limit unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<Whole>,
}

impl Effect {
    /// Returns the effect.
    ///
    /// # Errors
    /// 400, with what was wrong and what is allowed.
    pub(super) fn then(self) -> Result<Then, ApiError> {
        let mut said = Vec::new();
        for (name, flag) in [("drop_event", self.drop_event), ("refuse", self.refuse)] {
            if flag == Some(false) {
                return Err(ApiError::bad_request(format!("`{name}` is true, or left out")));
            }
        }
        said.extend(self.fail.map(Code::then).transpose()?);
        for (name, by, then) in [
            ("delay_ms", self.delay_ms, Then::Delay as fn(Duration) -> Then),
            ("delay_reply_ms", self.delay_reply_ms, Then::DelayReply),
            ("hold_ephemerals_ms", self.hold_ephemerals_ms, Then::HoldEphemerals),
        ] {
            said.extend(by.map(|by| span(name, by).map(then)).transpose()?);
        }
        said.extend(self.drop.map(|moment| match moment {
            Moment::BeforeApply => Then::disconnect(),
            Moment::AfterApply => Then::apply_and_lose_reply(),
        }));
        said.extend(self.silent.map(|moment| match moment {
            Moment::BeforeApply => Then::be_silent(),
            Moment::AfterApply => Then::apply_and_be_silent(),
        }));
        if let Some(Slow { latency_ms, bytes_per_second }) = self.slow {
            let latency = span("slow.latency_ms", latency_ms)?;
            said.push(Then::slow(latency, bytes_per_second.map(|Whole(rate)| rate)));
        }
        said.extend(self.drop_event.map(|_| Then::drop_event()));
        said.extend(self.refuse.map(|_| Then::refuse()));
        match said.as_slice() {
            [then] => Ok(*then),
            _ => Err(ApiError::bad_request(
                "`then` says one of `fail`, `delay_ms`, `delay_reply_ms`, `drop`, `silent`, `slow`, `drop_event`, `refuse` and \
                 `hold_ephemerals_ms`, such as {\"fail\":\"NONODE\"} or {\"drop\":\"after_apply\"}",
            )),
        }
    }
}

impl Code {
    fn then(self) -> Result<Then, ApiError> {
        match self {
            Self::Name(name) => {
                Then::fail_named(&name).map_err(|error| ApiError::bad_request(error.to_string()))
            }
            Self::Number(code) => Ok(Then::fail(ErrorCode(code))),
        }
    }
}

fn span(name: &str, Whole(millis): Whole) -> Result<Duration, ApiError> {
    if millis > LONGEST {
        return Err(ApiError::bad_request(format!(
            "`{name}` is {millis}; it is at most {LONGEST}, 100 years"
        )));
    }
    Ok(Duration::from_millis(millis))
}

/// Returns a delay as it takes effect: rounded up.
fn millis(span: Duration) -> Option<Whole> {
    Some(Whole(u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)))
}

impl From<Then> for Effect {
    fn from(then: Then) -> Self {
        let none = Self::default();
        match then {
            Then::Fail(code) => {
                let name = code.name().map(|name| Code::Name(name.into()));
                Self { fail: Some(name.unwrap_or(Code::Number(code.0))), ..none }
            }
            Then::Disconnect => Self { drop: Some(Moment::BeforeApply), ..none },
            Then::LoseReply => Self { drop: Some(Moment::AfterApply), ..none },
            Then::Silent => Self { silent: Some(Moment::BeforeApply), ..none },
            Then::SilentAfter => Self { silent: Some(Moment::AfterApply), ..none },
            Then::Refuse => Self { refuse: Some(true), ..none },
            Then::DropEvent => Self { drop_event: Some(true), ..none },
            Then::Delay(by) => Self { delay_ms: millis(by), ..none },
            Then::DelayReply(by) => Self { delay_reply_ms: millis(by), ..none },
            Then::HoldEphemerals(by) => Self { hold_ephemerals_ms: millis(by), ..none },
            Then::Slow { latency, bytes_per_second } => {
                let slow = millis(latency)
                    .map(|latency_ms| Slow { latency_ms, bytes_per_second: bytes_per_second.map(Whole) });
                Self { slow, ..none }
            }
            // Its text says what it is.
            _ => none,
        }
    }
}
