//! `rpc stream`: messages to a method and from it.

use std::io::{BufRead, stdin};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::thread;

use clap::Args;
use rpc_client::{Client, Error, MessageSender, Messages, StreamCall};
use rpc_wire::MethodKind;
use serde_json::Value;
use tokio::signal::ctrl_c;
use tokio::sync::mpsc;

use crate::call::{MethodArgs, with_metadata};
use crate::error::CliError;
use crate::output::{Json, Output};
use crate::parse::json;
use crate::reflect;
use crate::service::{ServiceArgs, block_on};

/// Lines of standard input that are read ahead.
const LINES: usize = 16;

/// Print the messages of a stream, one a line
///
/// If the method takes messages, they are the lines of standard input, each of them
/// JSON, and there is no argument. Ends when the method does, or at Ctrl-C, which
/// cancels the call.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct StreamArgs {
    #[command(flatten)]
    method: MethodArgs,

    /// End after this number of messages
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<NonZeroUsize>,

    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

pub(crate) fn run(args: &StreamArgs) -> Result<(), CliError> {
    let MethodArgs { service, method, .. } = &args.method;
    block_on(args.service.with_client(
        service,
        |builder| builder,
        async |client| {
            let kind = reflect::kind(&client, service, method).await?.unwrap_or(MethodKind::ServerStream);
            let talk = talk(args, &client, kind);
            tokio::select! {
                biased;
                done = talk => done,
                _ = ctrl_c() => Ok(()),
            }
        },
    ))
}

async fn talk(args: &StreamArgs, client: &Client, kind: MethodKind) -> Result<(), CliError> {
    let MethodArgs { service, method, metadata, .. } = &args.method;
    let mut out = Output::new(args.service.registry.json);
    match kind {
        MethodKind::Unary => Err(CliError::NotAStream { service: service.clone(), method: method.clone() }),
        MethodKind::ServerStream => {
            let opening = client.server_stream::<_, Value>(method, &args.method.argument()?);
            let messages = with_metadata(metadata, opening, StreamCall::metadata).await?;
            print(messages, args.count, &mut out).await
        }
        MethodKind::ClientStream => {
            args.method.only_messages()?;
            let opening = client.client_stream::<Value, Value>(method);
            let mut upload = with_metadata(metadata, opening, StreamCall::metadata).await?;
            let mut lines = lines();
            loop {
                let line = tokio::select! {
                    biased;
                    // The server may need no more lines, however long standard input goes on.
                    () = upload.closed() => break,
                    line = lines.recv() => line,
                };
                let Some(line) = line else { break };
                match upload.send(&line?).await {
                    Ok(()) => {}
                    Err(error @ Error::Argument { .. }) => return Err(error.into()),
                    // The stream has ended, and how tells its result.
                    Err(_) => break,
                }
            }
            let result = upload.finish().await?;
            out.line(Json(&result))
        }
        MethodKind::BidiStream => {
            args.method.only_messages()?;
            let opening = client.bidi_stream::<Value, Value>(method);
            let (sender, messages) = with_metadata(metadata, opening, StreamCall::metadata).await?;
            let mut printed = pin!(print(messages, args.count, &mut out));
            // The command ends with the last message that it prints, whatever standard input still has.
            tokio::select! {
                biased;
                printed = &mut printed => printed,
                sent = send(sender) => match sent {
                    // The stream has ended, and how is what the receiving side tells.
                    Ok(()) => printed.await,
                    Err(CliError::Rpc(error)) if !matches!(error, Error::Argument { .. }) => printed.await,
                    Err(error) => Err(error),
                },
            }
        }
    }
}

/// Prints messages as they come.
async fn print(
    mut messages: Messages<Value>,
    count: Option<NonZeroUsize>,
    out: &mut Output,
) -> Result<(), CliError> {
    let mut left = count.map_or(usize::MAX, NonZeroUsize::get);
    while left > 0 {
        let Some(message) = messages.next().await else { break };
        out.line(Json(&message?))?;
        left -= 1;
    }
    Ok(())
}

/// Sends the lines of standard input.
async fn send(mut sender: MessageSender<Value>) -> Result<(), CliError> {
    let mut lines = lines();
    while let Some(line) = lines.recv().await {
        sender.send(&line?).await?;
    }
    sender.finish();
    Ok(())
}

/// Reads standard input, which blocks, on a thread of its own.
fn lines() -> mpsc::Receiver<Result<Value, CliError>> {
    let (sender, lines) = mpsc::channel(LINES);
    thread::spawn(move || {
        for line in stdin().lock().lines() {
            let line = line.map_err(CliError::Input).and_then(|line| json("a line of standard input", &line));
            let is_last = line.is_err();
            if sender.blocking_send(line).is_err() || is_last {
                break;
            }
        }
    });
    lines
}
