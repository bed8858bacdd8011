//! Actions of the controller, and their parameters.

use std::time::Duration;

use zk_wire::SessionId;

/// Delay without a parameter.
const DELAY: Duration = Duration::from_secs(1);

const NAMES: &str = "PING, SHUTDOWN, CLOSECONNECTION[/SESSION], EXPIRESESSION[/SESSION], REJECTCONNECTIONS, \
                     ADDDELAY[/MILLISECONDS], FAILREQUESTS[/COUNT], NORESPONSE[/COUNT], RESET and ELECTNEWLEADER";

/// Command that is none; the text says what is wrong with it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}; the commands are {NAMES}, below /command/")]
pub(super) struct BadCommand(pub(super) String);

/// Command with its parameter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Ping,
    Shutdown,
    CloseConnection(Option<SessionId>),
    ExpireSession(Option<SessionId>),
    RejectConnections,
    AddDelay(Duration),
    FailRequests(Option<i64>),
    NoResponse(Option<i64>),
    Reset,
    ElectNewLeader,
}

impl Action {
    /// Reads a command, whose name may be in any case. A parameter that an action does not know is ignored, as there.
    pub(super) fn named(name: &str, parameter: Option<&str>) -> Result<Self, BadCommand> {
        let number = || parameter.map(decode).transpose();
        let session = || Ok::<_, BadCommand>(number()?.map(SessionId));
        Ok(match name.to_uppercase().as_str() {
            "PING" => Self::Ping,
            "SHUTDOWN" => Self::Shutdown,
            "CLOSECONNECTION" => Self::CloseConnection(session()?),
            "EXPIRESESSION" => Self::ExpireSession(session()?),
            "REJECTCONNECTIONS" => Self::RejectConnections,
            "ADDDELAY" => Self::AddDelay(match number()? {
                None => DELAY,
                Some(ms) => Duration::from_millis(
                    ms.try_into().map_err(|_| BadCommand(format!("{ms} is negative: a delay is not")))?,
                ),
            }),
            "FAILREQUESTS" => Self::FailRequests(number()?),
            "NORESPONSE" => Self::NoResponse(number()?),
            "RESET" => Self::Reset,
            "ELECTNEWLEADER" => Self::ElectNewLeader,
            _ => return Err(BadCommand(format!("there is no action {name}"))),
        })
    }
}

/// Reads a number as Java's `Long.decode` does: decimal, hexadecimal after 0x or #, octal after 0.
fn decode(text: &str) -> Result<i64, BadCommand> {
    let (is_negative, digits) = match text.split_at_checked(1) {
        Some(("-", digits)) => (true, digits),
        Some(("+", digits)) => (false, digits),
        _ => (false, text),
    };
    let hex =
        digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")).or_else(|| digits.strip_prefix('#'));
    let (digits, radix) = match (hex, digits.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (digits, 10),
    };
    let is_unsigned = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let magnitude = if is_unsigned { i128::from_str_radix(digits, radix).ok() } else { None };
    let value = magnitude.map(|magnitude| if is_negative { -magnitude } else { magnitude });
    value.and_then(|value| i64::try_from(value).ok()).ok_or_else(|| {
        BadCommand(format!("{text} is not a number of 64 bits (with sign): 10, 0xa and 012 are"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_java_decodes_them() {
        for (text, value) in [
            ("10", 10),
            ("0x1234", 0x1234),
            ("0XfF", 255),
            ("#ff", 255),
            ("012", 10),
            ("0", 0),
            ("-0x10", -16),
            ("+7", 7),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(decode(text).unwrap(), value, "{text}");
        }
        for text in ["", "hanm", "0x", "-", "--1", "0x-1", "08", "1.5", " 1", "9223372036854775808", "1/2"] {
            assert!(decode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn actions_are_named_in_any_case_with_or_without_a_parameter() {
        let action = |name, parameter| Action::named(name, parameter);
        assert_eq!(action("ping", None), Ok(Action::Ping));
        assert_eq!(action("Ping", Some("x")), Ok(Action::Ping), "ignored");
        assert_eq!(
            action("closeConnection", Some("1234")),
            Ok(Action::CloseConnection(Some(SessionId(1234))))
        );
        assert_eq!(action("ADDDELAY", None), Ok(Action::AddDelay(DELAY)));
        for (name, parameter) in [
            ("pings", None),
            ("close_connection", Some("1234")),
            ("CLOSECONNECTION", Some("")),
            ("ADDDELAY", Some("-1")),
            ("FAILREQUESTS", Some("hanm")),
        ] {
            assert!(action(name, parameter).is_err(), "{name}");
        }
    }
}
