//! `zk-mini get`: the data of a node.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::error::{ClientError, STATUSES};
use super::node::{DataFields, OnTerminal, StatFields, StatInWords, name};
use super::output::{Json, beside};
use super::session::{ServerArgs, with_session};

/// Print the data of a node
///
/// The data is written as it is, without a further line end. Only a terminal gets
/// a line end, and numbers in place of data that is not text.
///
/// JSON: {"path","name","data","encoding","stat"}; the encoding is utf8, or base64
/// for data that is not UTF-8. No data (null) is printed as empty data.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = STATUSES)]
pub(crate) struct GetArgs {
    /// The node
    path: String,

    /// Print the node's stat, too, on standard error; it is always in the JSON
    #[arg(long)]
    stat: bool,

    /// Write the data to a file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Serialize)]
struct Node<'a> {
    path: &'a str,
    name: &'a str,
    #[serde(flatten)]
    data: Option<DataFields>,
    stat: StatFields,
}

pub(crate) fn run(args: &GetArgs) -> Result<(), ClientError> {
    with_session(&args.server, &args.path, async |session, out| {
        let path = &args.path;
        session.catch_up().await?;
        let (data, stat) = session.read(|| session.client.get(path)).await?;
        if let Some(file) = &args.output {
            let shown = || file.display().to_string();
            fs::write(file, &data).map_err(|source| ClientError::File { file: shown(), source })?;
        }
        if out.json {
            let data = args.output.is_none().then(|| DataFields::from(&data[..]));
            return out.line(Json(Node { path, name: name(path), data, stat: StatFields::from(&stat) }));
        }
        if args.output.is_none() {
            if out.is_terminal() { out.line(OnTerminal(&data))? } else { out.bytes(&data)? }
        }
        if args.stat {
            out.flush()?;
            beside(StatInWords { path, stat: &stat });
        }
        Ok(())
    })
}
