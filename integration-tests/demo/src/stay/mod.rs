//! `demo --stay`: the demonstration as a page, until Ctrl-C. A person watches a worker die and disappear, and kills one.

mod guard;
mod page;
mod stage;
mod story;
mod victim;

use std::time::Duration;

use registry::Registry;
use rpc_client::Client;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use zk_mini::ZkMini;
use zk_mini_http::{Http, Settings};

use crate::load::Load;
use crate::narrator::Narrator;
use crate::registry_view::{RegistryView, all_are_gone};
use crate::{PATIENCE, Result, ShowArgs};
use page::Page;
use stage::{Parts, Stage};

const CALLERS: u32 = 4;

/// Pause of a caller between two calls: some hundred calls a second, which leaves the machine to others.
const PAUSE: Duration = Duration::from_millis(10);

/// Time between two looks at the counts of calls.
const LOOK: Duration = Duration::from_millis(500);

/// Maximum number of requests of the page that wait.
const REQUESTS: usize = 16;

/// Runs until SIGINT or SIGTERM. The error names the step that failed.
pub(crate) async fn run(args: ShowArgs) -> Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (zk, hosts) = match args.zookeeper {
        Some(hosts) => (None, hosts),
        None => {
            let http = Http::new(Settings::default().refuse_shutdown("Ctrl-C ends the demonstration"));
            let zk = http.share_port(ZkMini::builder()).start().await?;
            let hosts = zk.connect_string();
            (Some(zk), hosts)
        }
    };
    let mut stage = tokio::select! {
        stage = set(zk.as_deref().cloned(), &hosts, &args.service) => stage?,
        _ = terminate.recv() => return Err("stopped by SIGTERM".into()),
        _ = interrupt.recv() => return Err("stopped by SIGINT".into()),
    };
    // A signal drops the future, which drops a server that is about to start; it is killed then.
    let result = tokio::select! {
        result = perform(&mut stage) => result,
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    };
    // The registry is there until all have left it.
    let ended = stage.close().await;
    let _ = timeout(PATIENCE, all_are_gone(&hosts, &args.service)).await;
    if let Some(zk) = zk {
        zk.stop().await;
    }
    let cause = result?;
    ended?;
    crate::print_line(&format!("{cause}: everything is stopped"))?;
    Ok(())
}

async fn set(zk: Option<zk_mini::Handle>, hosts: &str, service: &str) -> Result<Stage> {
    let tell = Narrator::start();
    let registry = Registry::connect(hosts).await?;
    let view = RegistryView::new(registry.subscribe(service).await?);
    if !view.pids().is_empty() {
        let problem = "already has other servers; choose another name with --service";
        return Err(format!("the service {service} {problem}").into());
    }
    match &zk {
        Some(_) => {
            tell.line(&format!("zk-mini serves on {hosts}, in this process; its page: http://{hosts}/"))?;
        }
        None => tell.line(&format!("connected to ZooKeeper at {hosts}"))?,
    }
    let client = Client::builder(registry.clone(), service).connect().await?;
    let load = Load::start(&client, u64::MAX, CALLERS, PAUSE);
    let (hosts, service) = (hosts.to_owned(), service.to_owned());
    Ok(Stage::new(Parts { tell, zk, hosts, service, registry, view, load }))
}

/// Shows the stage and does what the page asks for; ends with an error only.
async fn perform(stage: &mut Stage) -> Result<&'static str> {
    stage.add_server()?;
    while !stage.is_ready() {
        stage.next().await?;
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let addr = listener.local_addr()?;
    let (requests, mut received) = mpsc::channel(REQUESTS);
    let (shown, watched) = watch::channel(stage.shown()?);
    let serve = Page { addr, requests, shown: watched }.serve(listener);
    tokio::pin!(serve);
    stage.tell(&format!(
        "open http://{addr}/ : watch the workers, kill one by a button; Ctrl-C ends everything"
    ))?;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ended = &mut serve => ended?,
            Some(request) = received.recv() => stage.answer(request)?,
            changed = stage.next() => changed?,
            _ = look.tick() => stage.look()?,
        }
        shown.send_replace(stage.shown()?);
    }
}
