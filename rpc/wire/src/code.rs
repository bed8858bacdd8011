//! Status codes, with gRPC's names and numbers.

use std::fmt;

/// Result of a call as a number; [`Code::OK`] is success.
///
/// A newer peer may send a code without a name here. It survives decoding and prints as a number.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Code(pub u8);

macro_rules! codes {
    ($($name:ident = $value:literal, $doc:literal;)*) => {
        impl Code {
            $(#[doc = $doc] pub const $name: Self = Self($value);)*

            /// Returns gRPC's name in capitals; `None` for a code without a name.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    OK = 0, "Success.";
    CANCELLED = 1, "The caller has cancelled the call.";
    UNKNOWN = 2, "An error that fits no other code.";
    INVALID_ARGUMENT = 3, "The request is invalid in any state of the service.";
    DEADLINE_EXCEEDED = 4, "The deadline passed before the call ended.";
    NOT_FOUND = 5, "The requested entity does not exist.";
    ALREADY_EXISTS = 6, "The entity to create exists already.";
    PERMISSION_DENIED = 7, "The caller may not do this.";
    RESOURCE_EXHAUSTED = 8, "A limit is reached: calls in flight, frame size, a quota.";
    FAILED_PRECONDITION = 9, "The service is not in the state that the call needs.";
    ABORTED = 10, "A conflict with another call; retry from a higher level.";
    OUT_OF_RANGE = 11, "A position past the end of the valid range.";
    UNIMPLEMENTED = 12, "The service has no such method.";
    INTERNAL = 13, "A bug: an invariant of the service is broken, or a handler panicked.";
    UNAVAILABLE = 14, "The service cannot answer now; another instance may, or this one later.";
    DATA_LOSS = 15, "Data is lost or damaged beyond repair.";
    UNAUTHENTICATED = 16, "The caller has not authenticated itself.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "CODE_{}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_grpc() {
        assert_eq!(Code::DEADLINE_EXCEEDED, Code(4));
        assert_eq!(Code::UNIMPLEMENTED, Code(12));
        assert_eq!(Code::UNAVAILABLE, Code(14));
        assert_eq!(Code::UNAUTHENTICATED, Code(16));
    }

    #[test]
    fn an_unknown_code_prints_its_number() {
        assert_eq!(Code(200).to_string(), "CODE_200");
        assert_eq!(Code::NOT_FOUND.to_string(), "NOT_FOUND");
    }

    #[test]
    fn debug_prints_the_name_too() {
        assert_eq!(format!("{:?} {:?}", Code::NOT_FOUND, Code(200)), "NOT_FOUND CODE_200");
    }
}
