//! The status of a failed call: code and message.

use std::fmt;

use crate::Code;

/// Reason for which a call failed. A handler returns it, and the caller gets it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// Kind of the failure, for the program.
    pub code: Code,
    /// Description of the failure, for a human.
    pub message: String,
}

impl Status {
    /// Makes a status with any code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
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
        assert_eq!(format!("{status:?}"), r#"Status { code: DATA_LOSS, message: "page 7" }"#);
    }
}
