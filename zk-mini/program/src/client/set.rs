//! `zk-mini set`: replaces the data of a node.

use clap::Args;
use zk_client::Version;

use super::error::{ClientError, STATUSES};
use super::input;
use super::node::{StatFields, Written};
use super::parse::{expected, version};
use super::session::{ServerArgs, with_session};

/// Replace the data of a node
///
/// DATA is the text itself; - reads standard input to its end, @FILE reads a file,
/// both byte by byte. Text that begins with @ goes through standard input, text
/// that begins with a dash behind --. Prints the new version.
///
/// With --version the data is set only if the node is still at the version that was
/// read, so that no change of somebody else is overwritten; else the status is 7.
///
/// JSON: {"path","stat"}.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = STATUSES)]
pub(crate) struct SetArgs {
    /// The node
    path: String,

    /// Text, - for standard input, or @FILE
    #[arg(allow_negative_numbers = true)]
    data: String,

    /// Version that the node must have
    #[arg(long, value_name = "N", value_parser = version)]
    version: Option<Version>,

    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: &SetArgs) -> Result<(), ClientError> {
    let data = input::data(&args.data)?;
    with_session(&args.server, &args.path, async |session, out| {
        let path = &args.path;
        let stat = session.ask(session.client.set(path, data, expected(args.version))).await?;
        let text = format_args!("version {}", stat.version);
        out.print(&Written { path, stat: StatFields::from(&stat) }, text)
    })
}
