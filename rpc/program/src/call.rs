//! `rpc call`: a call of one method.

use std::io::{Read, stdin};

use clap::Args;
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
    service: ServiceArgs,
}

/// Options that name a method and its argument.
#[derive(Args, Debug)]
pub(crate) struct MethodArgs {
    /// The service
    pub(crate) service: String,

    /// The method
    pub(crate) method: String,

    /// The argument as JSON; - reads it from standard input
    #[arg(default_value = "null")]
    argument: String,

    /// Name and value to send beside the argument; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) metadata: Vec<(String, String)>,
}

impl MethodArgs {
    pub(crate) fn argument(&self) -> Result<Value, CliError> {
        if self.argument != "-" {
            return json("the argument", &self.argument);
        }
        let mut text = String::new();
        stdin().read_to_string(&mut text).map_err(CliError::Input)?;
        json("standard input", &text)
    }
}

pub(crate) fn run(args: &CallArgs) -> Result<(), CliError> {
    let mut out = Output::new(args.service.registry.json);
    let argument = args.method.argument()?;
    let MethodArgs { service, method, metadata, .. } = &args.method;
    let result = block_on(args.service.with_client(
        service,
        |builder| builder,
        async |client| {
            let mut call = client.call::<_, Value>(method, &argument);
            for (name, value) in metadata {
                call = call.metadata(name, value);
            }
            if args.idempotent {
                call = call.idempotent();
            }
            Ok(call.await?)
        },
    ))?;
    if out.json { out.line(Json(&result)) } else { out.line(Pretty(&result)) }
}
