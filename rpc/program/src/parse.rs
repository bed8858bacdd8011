//! Values on the command line.

use std::time::Duration;

use rpc_wire::Metadata;
use serde_json::Value;

use crate::error::CliError;

/// Maximum time on the command line, so that no point in time is out of range.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Reads a time in seconds, such as 1.5.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds, such as 1.5".to_owned())?;
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= YEAR);
    time.ok_or_else(|| format!("not between 0 and {} seconds, a year", YEAR.as_secs()))
}

/// Reads a time in seconds, more than 0.
pub(crate) fn some_seconds(text: &str) -> Result<Duration, String> {
    let time = seconds(text)?;
    if time.is_zero() { Err("not above 0".to_owned()) } else { Ok(time) }
}

/// Reads a rate, more than 0 a second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number of calls a second".to_owned())?;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err("not a number above 0".to_owned()) }
}

/// Reads `name=value` of metadata.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not a name and a value, as in tenant=blue")?;
    if Metadata::is_reserved(name) {
        return Err(format!("{name} is a name that only the libraries set"));
    }
    Metadata::new().push(name, value).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Reads an argument.
pub(crate) fn json(what: &'static str, text: &str) -> Result<Value, CliError> {
    serde_json::from_str(text).map_err(|source| CliError::Json { what, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_are_numbers_that_make_sense() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1_500)));
        assert!(seconds("-1").is_err() && seconds("soon").is_err() && seconds("1e300").is_err());
        assert!(seconds("1e19").is_err() && seconds("0").is_ok() && some_seconds("0").is_err());
        assert_eq!(rate("0.5"), Ok(0.5));
        assert!(rate("0").is_err() && rate("inf").is_err() && rate("many").is_err());
    }

    #[test]
    fn a_value_may_have_an_equals_sign() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("a").is_err());
    }

    #[test]
    fn a_name_that_is_not_for_callers_is_refused() {
        assert!(
            pair("rpc.caller=me").is_err() && pair("traceparent=00").is_err() && pair("Tenant=blue").is_err()
        );
    }

    #[test]
    fn a_text_without_quotes_is_explained() {
        let error = json("the argument", "tea").expect_err("no JSON");
        assert!(error.to_string().contains("needs quotes"), "{error}");
    }
}
