//! `rpc call`: a call of one method.

use std::io::{Read, stdin};

use clap::Args;
use rpc_client::Call;
use serde_json::Value;

use crate::error::CliError;
use crate::output::{Json, Output, Pretty};
use crate::parse::{json, pair};
use crate::service::{ServiceArgs, block_on};

/// Call a method, and print its result
///
/// A failure goes to standard error, with its code. --timeout is the deadline of the
/// call, which the service is told.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct CallArgs {
    #[command(flatten)]
    pub(crate) method: MethodArgs,

    /// The call may run twice: try it again after a lost connection
    #[arg(long)]
    idempotent: bool,

    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// Options that name a method and its argument.
#[derive(Args, Debug)]
pub(crate) struct MethodArgs {
    /// The service
    pub(crate) service: String,

    /// The method
    pub(crate) method: String,

    /// The argument as JSON; - reads it from standard input [default: null]
    argument: Option<String>,

    /// Name and value to send beside the argument; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) metadata: Vec<(String, String)>,
}

impl MethodArgs {
    pub(crate) fn argument(&self) -> Result<Value, CliError> {
        match self.argument.as_deref() {
            None => Ok(Value::Null),
            Some("-") => {
                let mut text = String::new();
                stdin().read_to_string(&mut text).map_err(CliError::Input)?;
                json("standard input", &text)
            }
            Some(text) => json("the argument", text),
        }
    }

    /// Checks that no argument stands on the command line: the messages of a stream are lines of standard input.
    pub(crate) fn only_messages(&self) -> Result<(), CliError> {
        match self.argument.as_deref() {
            None | Some("-") => Ok(()),
            Some(_) => {
                let (service, method) = (self.service.clone(), self.method.clone());
                Err(CliError::TakesMessages { service, method })
            }
        }
    }
}

/// Adds metadata to a call.
pub(crate) fn with_metadata<'a, T>(
    metadata: &'a [(String, String)],
    call: T,
    add: impl Fn(T, &'a str, &'a str) -> T,
) -> T {
    metadata.iter().fold(call, |call, (name, value)| add(call, name, value))
}

pub(crate) fn run(args: &CallArgs) -> Result<(), CliError> {
    let mut out = Output::new(args.service.registry.json);
    let argument = args.method.argument()?;
    let MethodArgs { service, method, metadata, .. } = &args.method;
    let result = block_on(args.service.with_client(
        service,
        |builder| builder,
        async |client| {
            let mut call =
                with_metadata(metadata, client.call::<_, Value>(method, &argument), Call::metadata);
            if args.idempotent {
                call = call.idempotent();
            }
            Ok(call.await?)
        },
    ))?;
    if out.json { out.line(Json(&result)) } else { out.line(Pretty(&result)) }
}
