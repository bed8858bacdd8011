//! The status of a failed call: code, message, details.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Code, Format, Metadata};

/// Reason for which a call failed. A handler returns it, and the caller gets it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// Kind of the failure, for the program.
    pub code: Code,
    /// Description of the failure, for a human.
    pub message: String,
    /// Particulars of the failure as JSON, whatever the payload format; see [`with_details`](Self::with_details).
    pub details: Option<Box<str>>,
    /// Names and values beside the failure; see [`with_metadata`](Self::with_metadata).
    pub metadata: Option<Box<Metadata>>,
}

/// Wish of a server about retries of a call that it did not do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RetryAfter {
    /// It may come again after this time, and not before.
    Time(Duration),
    /// It should not be tried again.
    Never,
}

/// Name of the metadata that have it: a number of milliseconds, in digits. A number below 0, and anything else, is
/// [`RetryAfter::Never`].
const RETRY_AFTER: &str = "rpc.retry-after-ms";

impl Status {
    /// Makes a status with any code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, metadata: None }
    }

    /// Adds particulars for the program that gets the status: at most 65,535 bytes of JSON. A value that JSON cannot express, or
    /// that is longer, is left out.
    ///
    /// ```
    /// use rpc_wire::Status;
    ///
    /// let status = Status::failed_precondition("the account is locked").with_details(&("until", 1_767_225_600));
    /// assert_eq!(status.details::<(String, u64)>(), Some(("until".to_owned(), 1_767_225_600)));
    /// ```
    #[must_use]
    pub fn with_details(mut self, details: &(impl Serialize + ?Sized)) -> Self {
        let mut json = Vec::new();
        let encoded = Format::JSON.encode(details, &mut json);
        let text = String::from_utf8(json).ok().filter(|text| text.len() <= usize::from(u16::MAX));
        self.details = encoded.ok().and(text).map(String::into_boxed_str);
        self
    }

    /// Adds a name and a value beside the failure, as [`Metadata::push`] does; a name may have several. What is not allowed, a
    /// [reserved](Metadata::is_reserved) name for instance, is left out. Peers that speak version 1 of the protocol do not get
    /// them.
    #[must_use]
    pub fn with_metadata(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if !Metadata::is_reserved(name) {
            let _ = self.metadata.get_or_insert_default().push(name, value);
        }
        self
    }

    /// Asks for a retry not before a time has passed. It is heard with `RESOURCE_EXHAUSTED` and `UNAVAILABLE`, by clients of
    /// version 2: a call that did not run, or that may run twice, comes again then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rpc_wire::{RetryAfter, Status};
    ///
    /// let status = Status::resource_exhausted("too many jobs wait").with_retry_after(Duration::from_millis(500));
    /// assert_eq!(status.retry_after(), Some(RetryAfter::Time(Duration::from_millis(500))));
    /// ```
    #[must_use]
    pub fn with_retry_after(self, time: Duration) -> Self {
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.with_wish(millis)
    }

    /// Asks for no retry, where the client would try the call again by itself.
    #[must_use]
    pub fn without_retry(self) -> Self {
        self.with_wish(-1)
    }

    fn with_wish(mut self, millis: i64) -> Self {
        let _ = self.metadata.get_or_insert_default().insert(RETRY_AFTER, millis.to_string());
        self
    }

    /// Returns the wish about retries, if there is one.
    #[must_use]
    pub fn retry_after(&self) -> Option<RetryAfter> {
        let metadata = self.metadata.as_deref()?;
        let (_, value) = metadata.iter().find(|(name, _)| *name == RETRY_AFTER)?;
        let millis = std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok());
        let millis = millis.and_then(|millis| u64::try_from(millis).ok());
        Some(millis.map_or(RetryAfter::Never, |millis| RetryAfter::Time(Duration::from_millis(millis))))
    }

    /// Returns the particulars; `None` if there are none of this type.
    #[must_use]
    pub fn details<T: DeserializeOwned>(&self) -> Option<T> {
        Format::JSON.decode(self.details.as_deref()?.as_bytes()).ok()
    }
}

macro_rules! constructors {
    ($($name:ident = $code:ident;)*) => {
        impl Status {
            $(
                #[doc = concat!("Makes a status with [`Code::", stringify!($code), "`].")]
                pub fn $name(message: impl Into<String>) -> Self {
                    Self::new(Code::$code, message)
                }
            )*
        }
    };
}

constructors! {
    cancelled = CANCELLED;
    unknown = UNKNOWN;
    invalid_argument = INVALID_ARGUMENT;
    deadline_exceeded = DEADLINE_EXCEEDED;
    not_found = NOT_FOUND;
    already_exists = ALREADY_EXISTS;
    permission_denied = PERMISSION_DENIED;
    resource_exhausted = RESOURCE_EXHAUSTED;
    failed_precondition = FAILED_PRECONDITION;
    aborted = ABORTED;
    out_of_range = OUT_OF_RANGE;
    unimplemented = UNIMPLEMENTED;
    internal = INTERNAL;
    unavailable = UNAVAILABLE;
    data_loss = DATA_LOSS;
    unauthenticated = UNAUTHENTICATED;
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_about_retries_that_is_no_number_of_milliseconds_is_against_them() {
        let status = |value: &[u8]| {
            let mut metadata = Metadata::new();
            metadata.push(RETRY_AFTER, value).unwrap();
            Status { metadata: Some(Box::new(metadata)), ..Status::unavailable("") }
        };
        for value in ["-1", "-9223372036854775808", "soon", "", "1.5", "9223372036854775808"] {
            assert_eq!(status(value.as_bytes()).retry_after(), Some(RetryAfter::Never), "{value:?}");
        }
        assert_eq!(status(&[0xff]).retry_after(), Some(RetryAfter::Never));
        assert_eq!(status(b"0").retry_after(), Some(RetryAfter::Time(Duration::ZERO)));
        assert_eq!(Status::unavailable("").retry_after(), None);
        let again = Status::unavailable("").without_retry().with_retry_after(Duration::MAX);
        assert_eq!(again.retry_after(), Some(RetryAfter::Time(Duration::from_millis(i64::MAX as u64))));
    }

    #[test]
    fn metadata_that_are_not_allowed_are_left_out() {
        let status = Status::unavailable("").with_metadata("Queue", "").with_metadata("rpc.x", "");
        let status = status.with_metadata("queue", "1").with_metadata("queue", "2");
        let names = status.metadata.iter().flat_map(|metadata| metadata.iter());
        assert_eq!(names.collect::<Vec<_>>(), [("queue", &b"1"[..]), ("queue", b"2")]);
    }

    #[test]
    fn a_status_prints_its_code_by_name() {
        let status = Status::data_loss("page 7");
        assert_eq!(status.to_string(), "DATA_LOSS: page 7");
        assert_eq!(
            format!("{status:?}"),
            r#"Status { code: DATA_LOSS, message: "page 7", details: None, metadata: None }"#
        );
    }
}
