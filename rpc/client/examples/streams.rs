//! Calls with messages, in their three shapes, against a service in the same process.
//!
//! `cargo run -p rpc-client --example streams`

use std::time::Duration;

use futures_util::{StreamExt, stream};
use rpc_client::{Client, Error};
use rpc_server::{Context, Messages, Server, Service, Status};

/// Gives the numbers from 1 on, as fast as the caller takes them.
async fn count(to: u64, _: Context) -> Result<impl stream::Stream<Item = Result<u64, Status>>, Status> {
    Ok(stream::iter((1..=to).map(Ok)))
}

async fn sum(mut numbers: Messages<u64>, _: Context) -> Result<u64, Status> {
    let mut sum = 0;
    while let Some(number) = numbers.next().await {
        sum += number?;
    }
    Ok(sum)
}

async fn shout(
    words: Messages<String>,
    _: Context,
) -> Result<impl stream::Stream<Item = Result<String, Status>>, Status> {
    Ok(words.map(|word| Ok(word?.to_uppercase())))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let service = Service::builder("demo")
        .server_stream("count", count)
        .client_stream("sum", sum)
        .bidi_stream("shout", shout)
        .build();
    let server = Server::new(service).in_memory();
    let client = Client::in_memory("demo", move || server.connect()).connect().await?;

    // Messages of the server. To drop them before the end cancels the call.
    let call = client.server_stream::<_, u64>("count", &1_000_000).deadline(Duration::from_secs(10));
    let mut numbers = call.await?;
    while let Some(number) = numbers.next().await {
        if number? == 1_000 {
            println!("that is enough");
            break;
        }
    }
    drop(numbers);

    // Messages of the client, and one result.
    let mut upload = client.client_stream::<u64, u64>("sum").await?;
    for number in 1..=1_000 {
        upload.send(&number).await?;
    }
    println!("the sum is {}", upload.finish().await?);

    // Messages both ways.
    let (mut sender, mut answers) = client.bidi_stream::<str, String>("shout").await?;
    for word in ["it", "is", "loud"] {
        sender.send(word).await?;
        println!("{word} -> {}", answers.next().await.transpose()?.unwrap_or_default());
    }
    sender.finish();
    assert!(answers.next().await.is_none(), "the server has ended the stream, too");
    Ok(())
}
