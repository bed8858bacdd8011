//! Checks of paths and patterns in requests.

use zk_mini::Glob;
use zk_wire::path;

use crate::error::ApiError;

/// Checks that a text is a path of ZooKeeper.
///
/// # Errors
/// 400, with the rule that it breaks.
pub(super) fn check(text: &str) -> Result<(), ApiError> {
    path::validate(text).map_err(|error| {
        ApiError::bad_request(format!("{text:?} is no path: {error}; a path is like /services/echo"))
    })
}

/// Reads a pattern of paths.
///
/// # Errors
/// 400, with the rule that it breaks.
pub(super) fn glob(text: &str) -> Result<Glob, ApiError> {
    Glob::new(text).map_err(|error| {
        ApiError::bad_request(format!(
            "{text:?} is no pattern of paths: {error}; it is a path in which `*` stands for any characters within one name, and \
             which may end with `/**` for everything below"
        ))
    })
}
