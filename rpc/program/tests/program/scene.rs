//! A registry with a service `shop`, and runs of the program against them.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use registry::{Instance, Registration, Registry};
use rpc_server::{Context, Messages, Server, Service, Status};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use zk_mini::ZkMini;

/// Maximum time for what should happen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Time of a call of `brew`.
const BREWING: Duration = Duration::from_millis(20);

pub(crate) struct Scene {
    pub(crate) zk: ZkMini,
    pub(crate) addr: SocketAddr,
    pub(crate) registry: Registry,
    pub(crate) registration: Registration,
    /// Number of calls of `price` so far.
    pub(crate) prices: watch::Receiver<u64>,
}

/// Result of a run of the program.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

fn shop(prices: Arc<watch::Sender<u64>>) -> Service {
    Service::builder("shop")
        .method("price", move |item: String, _: Context| {
            prices.send_modify(|calls| *calls += 1);
            async move {
                match item.as_str() {
                    "tea" => Ok(3),
                    item => Err(Status::not_found(format!("no {item} here")).with_details(&[item])),
                }
            }
        })
        .method("brew", |(): (), _: Context| async move {
            sleep(BREWING).await;
            Ok::<_, Status>("tea")
        })
        .method("tenant", |(): (), context: Context| async move {
            Ok::<_, Status>(context.metadata().get("tenant").map(str::to_owned))
        })
        .server_stream("count", |to: u32, _: Context| async move {
            Ok::<_, Status>(stream::iter((1..=to).map(Ok::<_, Status>)))
        })
        .client_stream("sum", |mut numbers: Messages<i64>, _: Context| async move {
            let mut sum = 0;
            while let Some(number) = numbers.next().await {
                sum += number?;
            }
            Ok::<_, Status>(sum)
        })
        .client_stream("top", |mut numbers: Messages<i64>, _: Context| async move {
            numbers.next().await.unwrap_or_else(|| Err(Status::invalid_argument("a number is needed")))
        })
        .bidi_stream("double", |numbers: Messages<i64>, _: Context| async move {
            use futures_util::StreamExt;
            Ok::<_, Status>(numbers.map(|number| number.map(|number| 2 * number)))
        })
        .bidi_stream("first", |numbers: Messages<i64>, _: Context| async move {
            use futures_util::StreamExt;
            Ok::<_, Status>(numbers.take(1))
        })
        .build()
}

impl Scene {
    pub(crate) async fn start() -> Self {
        Self::start_with(|server| server).await
    }

    /// Starts a service on a server that `configure` has made other than usual.
    pub(crate) async fn start_with(configure: impl FnOnce(Server) -> Server) -> Self {
        let zk = ZkMini::start().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (calls, prices) = watch::channel(0);
        tokio::spawn(configure(Server::new(shop(Arc::new(calls)))).serve(listener, std::future::pending()));
        let registry = Registry::connect(&zk.connect_string()).await.unwrap();
        let instance = Instance::new("127.0.0.1", addr.port()).with("version", "1.2");
        let registration = registry.register("shop", instance).await.unwrap();
        Self { zk, addr, registry, registration, prices }
    }

    /// Returns the program with these arguments, and the registry of the scene.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rpc"));
        command.args(args).env("ZK_HOSTS", self.zk.connect_string()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Run {
        Run::new(self.command(args).output().await.unwrap())
    }

    /// Runs a command whose standard input has this, and does not end.
    pub(crate) async fn run_on_terminal(&self, args: &[&str], input: &str) -> Run {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        // `wait_with_output` would close it.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        let output = timeout(PATIENCE, child.wait_with_output()).await.expect("the command ends by itself");
        drop(stdin);
        Run::new(output.unwrap())
    }

    pub(crate) async fn run_with_input(&self, args: &[&str], input: &str) -> Run {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        Run::new(child.wait_with_output().await.unwrap())
    }
}

impl Run {
    pub(crate) fn new(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Returns the output of a run that succeeded.
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        self.stdout
    }
}
