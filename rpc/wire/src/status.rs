//! A failed call: code and message.

use std::fmt;

use crate::Code;

/// Why a call failed, as the handler says it and as the caller sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// What kind of failure; a program decides by this.
    pub code: Code,
    /// What was wrong, for a human.
    pub message: String,
}

impl Status {
    /// A status of any code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

macro_rules! constructors {
    ($($name:ident = $code:ident;)*) => {
        impl Status {
            $(
                #[doc = concat!("A status with [`Code::", stringify!($code), "`].")]
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
        assert_eq!(format!("{status:?}"), r#"Status { code: DATA_LOSS, message: "page 7" }"#);
    }
}
