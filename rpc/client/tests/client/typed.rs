//! Services and clients made of traits.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, stream};
use rpc_client::{Client, Code};
use rpc_server::{Context, MessageStream, Messages, MethodKind, Server, Service, Status};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A ledger.
/// With two lines.
#[rpc_server::service(name = "books", client)]
trait Ledger {
    /// Nothing goes in.
    #[idempotent]
    async fn total(&self) -> Result<i64, Status>;

    async fn book(&self, account: &str, amounts: &[i64], context: Context) -> rpc_server::Result<usize>;

    #[method(name = "entryOf")]
    async fn entry(&self, account: String) -> Result<Vec<i64>, NoAccount>;

    async fn same(&self, value: &Value) -> Result<Value, Status>;
}

struct NoAccount(String);

impl From<NoAccount> for Status {
    fn from(NoAccount(name): NoAccount) -> Self {
        Self::not_found(name)
    }
}

#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Vec<i64>>>);

impl Ledger for Memory {
    async fn total(&self) -> Result<i64, Status> {
        Ok(self.0.lock().unwrap().values().flatten().sum())
    }

    async fn book(&self, account: &str, amounts: &[i64], context: Context) -> rpc_server::Result<usize> {
        assert_eq!((context.service(), context.method()), ("books", "book"));
        if account.is_empty() {
            account.parse::<u32>()?;
        }
        let mut accounts = self.0.lock().unwrap();
        let account = accounts.entry(account.to_owned()).or_default();
        account.extend(amounts);
        Ok(account.len())
    }

    async fn entry(&self, account: String) -> Result<Vec<i64>, NoAccount> {
        tokio::task::yield_now().await;
        self.0.lock().unwrap().get(&account).cloned().ok_or(NoAccount(account))
    }

    async fn same(&self, value: &Value) -> Result<Value, Status> {
        Ok(value.clone())
    }
}

/// Each kind of method with messages.
#[rpc_server::service(client)]
trait Numbers {
    /// Sends the numbers of a range.
    async fn count(&self, from: &u64, to: u64, context: Context) -> Result<MessageStream<u64>, Status>;

    async fn sum(&self, numbers: Messages<u64>) -> rpc_server::Result<u64>;

    #[method(name = "timesFactor")]
    async fn multiply(
        &self,
        context: Context,
        numbers: Messages<u64>,
    ) -> Result<MessageStream<u64>, NoAccount>;
}

struct Factor(u64);

impl Numbers for Factor {
    async fn count(&self, from: &u64, to: u64, context: Context) -> Result<MessageStream<u64>, Status> {
        assert_eq!((context.service(), context.method()), ("numbers", "count"));
        if *from > to {
            return Err(Status::out_of_range("the range ends before it begins"));
        }
        let last = (to > 100).then(|| Err(Status::data_loss("too far")));
        Ok(stream::iter((*from..to.min(100)).map(Ok).chain(last)).boxed())
    }

    async fn sum(&self, mut numbers: Messages<u64>) -> rpc_server::Result<u64> {
        let mut sum = 0_u64;
        while let Some(number) = numbers.next().await {
            sum = sum.checked_add(number?).ok_or_else(|| std::io::Error::other("the sum is too large"))?;
        }
        Ok(sum)
    }

    async fn multiply(
        &self,
        context: Context,
        numbers: Messages<u64>,
    ) -> Result<MessageStream<u64>, NoAccount> {
        assert_eq!((context.service(), context.method()), ("numbers", "timesFactor"));
        let factor = self.0;
        match factor {
            0 => Err(NoAccount("no factor".into())),
            _ => Ok(numbers.map(move |number| Ok(number? * factor)).boxed()),
        }
    }
}

async fn serve(service: Service) -> Client {
    let name = service.name().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    tokio::spawn(Server::new(service).serve(listener, pending()));
    Client::direct(name, [addr]).connect().await.unwrap()
}

#[tokio::test]
async fn a_trait_makes_a_service_and_its_client() {
    let memory = Arc::new(Memory::default());
    let ledger = LedgerClient::new(serve(Arc::clone(&memory).into_service()).await);
    assert_eq!(ledger.book("rent", &[700, 50]).await.unwrap(), 2);
    assert_eq!(ledger.total().await.unwrap(), 750);
    assert_eq!(ledger.entry("rent".into()).await.unwrap(), [700, 50]);
    assert_eq!(ledger.same(&json!({"a": [1]})).await.unwrap(), json!({"a": [1]}));
    assert_eq!(memory.total().await.unwrap(), 750); // the same value, without a call
}

#[tokio::test]
async fn a_client_in_any_language_sends_null_or_a_value_or_an_array() {
    let client = serve(Memory::default().into_service()).await;
    let booked: Value = client.call("book", &json!(["rent", [1, 2]])).await.unwrap();
    assert_eq!(booked, json!(2));
    let total: Value = client.call("total", &json!(null)).await.unwrap();
    assert_eq!(total, json!(3));
    let entry: Value = client.call("entryOf", &json!("rent")).await.unwrap();
    assert_eq!(entry, json!([1, 2]));
}

#[tokio::test]
async fn errors_of_any_kind_become_a_status() {
    let ledger = LedgerClient::from(serve(Memory::default().into_service()).await);
    let missing = ledger.entry("rent".into()).await.unwrap_err();
    assert_eq!(
        (missing.code(), missing.to_string().as_str()),
        (Code::NOT_FOUND, "books.entryOf: NOT_FOUND: rent")
    );
    let internal = ledger.book("", &[]).await.unwrap_err();
    assert_eq!(internal.code(), Code::INTERNAL);
    assert!(!internal.to_string().contains("parse"), "{internal}");
}

#[test]
fn a_trait_describes_its_service() {
    let descriptor = Memory::default().into_service().descriptor();
    assert_eq!((descriptor.name.as_str(), descriptor.docs.as_str()), ("books", "A ledger.\nWith two lines."));
    let methods: Vec<_> = descriptor
        .methods
        .iter()
        .map(|method| {
            (method.name.as_str(), method.argument.as_str(), method.result.as_str(), method.docs.as_str())
        })
        .collect();
    assert_eq!(
        methods,
        [
            ("book", "(String, Vec<i64>)", "usize", ""),
            ("entryOf", "String", "Vec<i64>", ""),
            ("same", "Value", "Value", ""),
            ("total", "()", "i64", "Nothing goes in."),
        ]
    );
    assert!(descriptor.methods.iter().all(|method| method.kind == MethodKind::Unary));
}

#[tokio::test]
async fn a_method_may_send_messages() {
    let numbers = NumbersClient::new(serve(Factor(1).into_service()).await);
    let counted: Vec<_> = numbers.count(&3, 6).await.unwrap().map(Result::unwrap).collect().await;
    assert_eq!(counted, [3, 4, 5]);
    let mut backwards = numbers.count(&2, 1).await.unwrap();
    assert_eq!(backwards.next().await.unwrap().unwrap_err().code(), Code::OUT_OF_RANGE);
    let last = numbers.count(&99, 101).await.unwrap().map(|item| item.map_err(|error| error.code()));
    assert_eq!(last.collect::<Vec<_>>().await, [Ok(99), Err(Code::DATA_LOSS)]);
}

#[tokio::test]
async fn a_method_may_take_messages() {
    let numbers = NumbersClient::new(serve(Factor(1).into_service()).await);
    let mut upload = numbers.sum().await.unwrap();
    for number in 1..=100 {
        upload.send(&number).await.unwrap();
    }
    assert_eq!(upload.finish().await.unwrap(), 5050);
    let mut too_much = numbers.sum().await.unwrap();
    too_much.send(&u64::MAX).await.unwrap();
    too_much.send(&1).await.unwrap();
    assert_eq!(too_much.finish().await.unwrap_err().code(), Code::INTERNAL);
}

#[tokio::test]
async fn a_method_may_take_and_send_messages_side_by_side() {
    let numbers = NumbersClient::new(serve(Factor(3).into_service()).await);
    let (mut sender, mut messages) = numbers.multiply().await.unwrap();
    for number in 1..=100 {
        sender.send(&number).await.unwrap();
        assert_eq!(messages.next().await.unwrap().unwrap(), 3 * number);
    }
    sender.finish();
    assert!(messages.next().await.is_none());

    let factorless = NumbersClient::new(serve(Factor(0).into_service()).await);
    let (_sender, mut messages) = factorless.multiply().await.unwrap();
    assert_eq!(messages.next().await.unwrap().unwrap_err().code(), Code::NOT_FOUND);
}

#[test]
fn a_description_has_the_kinds_of_methods_and_the_types_of_their_messages() {
    let methods = Factor(1).into_service().descriptor().methods;
    let described: Vec<_> = methods
        .iter()
        .map(|method| (method.name.as_str(), method.kind, method.argument.as_str(), method.result.as_str()))
        .collect();
    assert_eq!(
        described,
        [
            ("count", MethodKind::ServerStream, "(u64, u64)", "u64"),
            ("sum", MethodKind::ClientStream, "u64", "u64"),
            ("timesFactor", MethodKind::BidiStream, "u64", "u64"),
        ]
    );
}

#[tokio::test]
async fn handlers_may_be_methods_of_a_shared_value() {
    struct Counter(Mutex<u32>);
    impl Counter {
        async fn add(&self, more: u32, _: Context) -> Result<u32, Status> {
            tokio::task::yield_now().await;
            let mut count = self.0.lock().unwrap();
            *count += more;
            Ok(*count)
        }
    }
    let counter = Arc::new(Counter(Mutex::new(1)));
    let service = Service::builder("books").state(Arc::clone(&counter)).method("add", Counter::add).build();
    let client = serve(service).await;
    assert_eq!(client.call::<_, u32>("add", &2).await.unwrap(), 3);
    assert_eq!(*counter.0.lock().unwrap(), 3);
}

/// Trait of the user's own, which `Arc` does not pass on.
trait Audit: Sync {
    fn note(&self) -> String;
}

/// Another trait is needed, and the platform chooses a method.
#[rpc_server::service(client)]
trait Audited: Audit {
    #[cfg(unix)]
    async fn platform(&self) -> Result<String, Status>;
    #[cfg(not(unix))]
    async fn platform(&self) -> Result<String, Status>;
}

struct Here;

impl Audit for Here {
    fn note(&self) -> String {
        std::env::consts::OS.to_owned()
    }
}

impl Audited for Here {
    async fn platform(&self) -> Result<String, Status> {
        Ok(self.note())
    }
}

#[tokio::test]
async fn a_service_may_ask_for_another_trait_and_choose_methods_by_cfg() {
    let client = AuditedClient::new(serve(Here.into_service()).await);
    assert_eq!(client.platform().await.unwrap(), std::env::consts::OS);
}
