//! `rpc watch`: instances that come and go.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use registry::{Change, Members};
use serde::Serialize;
use tokio::signal::ctrl_c;
use tokio::time::sleep;

use crate::error::CliError;
use crate::list::Listed;
use crate::output::{Output, shown};
use crate::parse::seconds;
use crate::service::{RegistryArgs, block_on};

/// Print the instances of a service, and then those that come, change and go
///
/// One line for each: + has come, ~ has changed, - has gone; then its id, and unless
/// it has gone its address, its status and its further fields. Ends at Ctrl-C.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct WatchArgs {
    /// The service; it need not exist yet
    service: String,

    /// End after this number of lines
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<NonZeroUsize>,

    /// End after this time
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    span: Option<Duration>,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

#[derive(Serialize)]
struct Event<'a> {
    event: &'static str,
    #[serde(flatten)]
    instance: Listed<'a>,
}

#[derive(Serialize)]
struct Gone<'a> {
    event: &'static str,
    id: &'a str,
}

pub(crate) fn run(args: &WatchArgs) -> Result<(), CliError> {
    let mut out = Output::new(args.registry.json);
    block_on(async {
        let registry = args.registry.connect().await?;
        let mut subscription = registry.subscribe(&args.service).await?;
        let follow = async {
            let mut left = args.count.map(NonZeroUsize::get);
            let mut known = Members::default();
            loop {
                let next = subscription.current();
                for change in known.diff(&next) {
                    print(&change, &mut out)?;
                    left = left.map(|left| left - 1);
                    if left == Some(0) {
                        return Ok(());
                    }
                }
                known = (*next).clone();
                if subscription.changed().await.is_none() {
                    return Ok(());
                }
            }
        };
        let end = async {
            match args.span {
                Some(span) => sleep(span).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = follow => done,
            () = end => Ok(()),
            _ = ctrl_c() => Ok(()),
        }
    })
}

fn print(change: &Change, out: &mut Output) -> Result<(), CliError> {
    let id = change.id().as_str();
    let (event, sign, instance) = match change {
        Change::Up(_, instance) => ("up", '+', instance),
        Change::Updated(_, instance) => ("updated", '~', instance),
        Change::Down(_) => return out.print(&Gone { event: "down", id }, format_args!("- {}", shown(id))),
    };
    let (addr, status) = (shown(&instance.addr()), instance.status());
    let instance = Listed::new(id, instance);
    let text = format!("{sign} {} {addr} {status} {}", shown(id), instance.fields());
    out.print(&Event { event, instance }, text.trim_end())
}
