//! Data that a command writes: from the command line, a file or standard input.

use std::fs;
use std::io::{self, Read};

use bytes::Bytes;

use super::error::ClientError;

/// Reads the data that an argument stands for. Call it before there is a session: standard input may take its time.
pub(crate) fn data(argument: &str) -> Result<Bytes, ClientError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        |source| ClientError::Input { what, source }
    };
    match (argument, argument.strip_prefix('@')) {
        ("-", _) => {
            let mut data = Vec::new();
            io::stdin().lock().read_to_end(&mut data).map_err(failed("standard input"))?;
            Ok(data.into())
        }
        (_, Some(file)) => fs::read(file).map(Bytes::from).map_err(failed(file)),
        (text, None) => Ok(text.to_owned().into()),
    }
}
