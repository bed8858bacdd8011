//! The file of this program, to start it once more.

use std::ffi::OsString;
use std::path::Path;
use std::{env, io};

/// Link of Linux to the file, which works even if the file has been deleted or replaced.
const LINK: &str = "/proc/self/exe";

/// Returns what to execute: a path, or, where the system tells none (Linux without `/proc`), the name under which this program
/// was started.
pub(crate) fn own_program() -> io::Result<OsString> {
    if Path::new(LINK).exists() {
        return Ok(LINK.into());
    }
    env::current_exe().map(OsString::from).or_else(|error| env::args_os().next().ok_or(error))
}
