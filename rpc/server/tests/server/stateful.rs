//! Handlers of each kind that are methods of one value.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::{StreamExt, stream};
use rpc_client::Client;
use rpc_server::{Context, MessageStream, Messages, Server, Service, Status};

/// Counter that all calls share.
struct Counter {
    sum: AtomicU64,
}

impl Counter {
    async fn sum(&self, (): (), _: Context) -> Result<u64, Status> {
        Ok(self.sum.load(Relaxed))
    }

    async fn up_to(&self, factor: u64, _: Context) -> Result<MessageStream<u64>, Status> {
        let sum = self.sum.load(Relaxed);
        Ok(Box::pin(stream::iter((1..=sum).map(move |number| Ok(factor * number)))))
    }

    async fn add(&self, mut numbers: Messages<u64>, _: Context) -> Result<u64, Status> {
        let mut sum = 0;
        while let Some(number) = numbers.next().await.transpose()? {
            sum = self.sum.fetch_add(number, Relaxed) + number;
        }
        Ok(sum)
    }

    async fn compare(&self, numbers: Messages<u64>, _: Context) -> Result<MessageStream<bool>, Status> {
        let sum = self.sum.load(Relaxed);
        Ok(numbers.map(move |number| Ok(number? == sum)).boxed())
    }
}

#[tokio::test]
async fn handlers_of_every_kind_share_the_value_of_their_service() {
    let service = Service::builder("counter")
        .state(Counter { sum: AtomicU64::new(0) })
        .method("sum", Counter::sum)
        .server_stream("up_to", Counter::up_to)
        .client_stream("add", Counter::add)
        .bidi_stream("compare", Counter::compare)
        .docs("Adds numbers.")
        .describe("add", "Returns the sum.")
        .build();
    let descriptor = service.descriptor();
    assert_eq!(
        (descriptor.docs.as_str(), descriptor.methods[0].docs.as_str()),
        ("Adds numbers.", "Returns the sum.")
    );
    let connector = Server::new(service).in_memory();
    let client = Client::in_memory("counter", move || connector.connect()).connect().await.unwrap();

    let mut upload = client.client_stream::<u64, u64>("add").await.unwrap();
    for number in [1, 2] {
        upload.send(&number).await.unwrap();
    }
    assert_eq!(upload.finish().await.unwrap(), 3);
    assert_eq!(client.call::<_, u64>("sum", &()).await.unwrap(), 3);
    let numbers = client.server_stream::<_, u64>("up_to", &10_u64).await.unwrap();
    let numbers: Vec<_> = numbers.map(Result::unwrap).collect().await;
    assert_eq!(numbers, [10, 20, 30]);
    let (mut sender, mut answers) = client.bidi_stream::<u64, bool>("compare").await.unwrap();
    for (number, is_sum) in [(2, false), (3, true)] {
        sender.send(&number).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap(), is_sum);
    }
}
