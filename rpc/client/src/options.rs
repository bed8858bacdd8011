//! The options that calls and streams have in common.

use std::mem;

use common::Millis;
use rpc_wire::{Metadata, PayloadError};

use crate::error::Error;

/// Argument of a call or a stream, and the wishes of its caller.
#[derive(Debug)]
pub(crate) struct Options {
    /// Encoded argument, or the reason why nothing can be sent.
    argument: Result<Vec<u8>, String>,
    pub(crate) metadata: Metadata,
    /// Hash of its key.
    pub(crate) key: Option<u64>,
    /// Time that it waits for a link; `None` for the client's.
    pub(crate) patience: Option<Millis>,
}

impl Options {
    pub(crate) fn new(argument: Result<Vec<u8>, PayloadError>) -> Self {
        let argument = argument.map_err(|error| error.to_string());
        Self { argument, metadata: Metadata::new(), key: None, patience: None }
    }

    /// Adds a name and a value of the caller. If they cannot be sent, nothing can.
    pub(crate) fn add_metadata(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let added = if Metadata::is_reserved(name) {
            Err(format!("the metadata {name} are not for callers"))
        } else {
            self.metadata.push(name, value).map_err(|error| error.to_string())
        };
        if let (Ok(_), Err(reason)) = (&self.argument, added) {
            self.argument = Err(reason);
        }
    }

    pub(crate) fn set_key(&mut self, key: impl AsRef<[u8]>) {
        self.key = Some(registry::select::hash([key.as_ref()]));
    }

    pub(crate) fn wait_for_ready(&mut self) {
        self.patience = Some(Millis(u64::MAX));
    }

    pub(crate) fn fail_fast(&mut self) {
        self.patience = Some(Millis(0));
    }

    /// Returns the argument, once.
    pub(crate) fn take_argument(&mut self, method: &str) -> Result<Vec<u8>, Error> {
        match &mut self.argument {
            Ok(argument) => Ok(mem::take(argument)),
            Err(reason) => Err(Error::Argument { method: method.to_owned(), reason: mem::take(reason) }),
        }
    }
}
