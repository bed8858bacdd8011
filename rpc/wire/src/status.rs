//! The status of a failed call: code, message, details.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Code, Format};

/// Reason for which a call failed. A handler returns it, and the caller gets it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// Kind of the failure, for the program.
    pub code: Code,
    /// Description of the failure, for a human.
    pub message: String,
    /// Particulars of the failure as JSON, whatever the payload format; see [`with_details`](Self::with_details).
    pub details: Option<Box<str>>,
}

impl Status {
    /// Makes a status with any code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None }
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
    fn a_status_prints_its_code_by_name() {
        let status = Status::data_loss("page 7");
        assert_eq!(status.to_string(), "DATA_LOSS: page 7");
        assert_eq!(format!("{status:?}"), r#"Status { code: DATA_LOSS, message: "page 7", details: None }"#);
    }
}
