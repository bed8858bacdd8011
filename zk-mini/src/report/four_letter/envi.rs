//! `envi`: the machine and the user. The keys about Java are there without a value.

use std::fmt::Write;

use crate::report::figures::{Configuration, Environment};

pub(crate) fn answer(config: &Configuration, environment: &Environment) -> String {
    let mut out = "Environment:\n".to_owned();
    for (key, value) in environment.named(config) {
        let _ = writeln!(out, "{key}={}", value.as_deref().unwrap_or(Environment::NOT_KNOWN));
    }
    out
}
