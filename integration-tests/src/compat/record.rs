//! Makes the recordings of the commit that it is run on: `ci/compat --record DIR`.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use registry::{Instance, Registry};
use rpc_client::Format;
use tokio::runtime::Runtime;
use zk_client::{Acl, Client, CreateMode, Expected};

use super::directory::{self, Clients};
use super::frames;
use super::proxy::{Protocol, Recorder};
use super::recording::{Line, Recording};
use super::rpc::{self, RunningService};
use super::zookeeper::Server;
use crate::differential::Subject;
use crate::ensemble::{JVM_OPTIONS, Release};
use crate::process::Process;
use crate::programs;
use crate::wait::PATIENCE;

/// Records everything to a directory that is not there yet.
///
/// # Errors
/// If something that is needed is missing, or the servers answer otherwise than they must.
pub fn record(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir.join("traffic"))?;
    fs::create_dir_all(dir.join("rpc"))?;
    for (name, private) in [("directory", false), ("private-directory", true)] {
        record_directory(&dir.join(name), private)?;
    }
    for (name, client) in CLIENTS {
        let recording = record_client(*client)?;
        save(&dir.join("traffic").join(format!("{name}.txt")), &recording)?;
    }
    save(&dir.join("rpc/json.txt"), &record_conversation(Format::JSON)?)?;
    save(&dir.join("rpc/postcard.txt"), &record_conversation(Format::POSTCARD)?)?;
    save(&dir.join("rpc/python.txt"), &record_python()?)?;
    save(&dir.join("rpc/uncommon.txt"), &record_uncommon()?)
}

fn save(file: &Path, recording: &Recording) -> io::Result<()> {
    fs::write(file, recording.to_string())
}

fn input(name: &str) -> io::Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/clients").join(name))
}

/// Writes the data directory, its listing, its live sessions and the instances in it.
fn record_directory(dir: &Path, private: bool) -> io::Result<()> {
    let data = dir.join("data");
    let sessions = directory::write(&input("directory.script")?, &data, private)?;
    fs::write(dir.join("sessions.txt"), directory::sessions_text(&sessions))?;
    fs::write(dir.join("listing.txt"), directory::listing(&data))?;
    let copy = tempfile::tempdir()?;
    directory::copy(&data, copy.path())?;
    let server = Server::on(copy.path(), private)?;
    fs::write(dir.join("instances.txt"), directory::instances(&server)?)
}

/// A client that talks to a server through the recorder.
type TrafficClient = fn(&Server, &Recorder) -> io::Result<()>;

const CLIENTS: &[(&str, TrafficClient)] =
    &[("kazoo", kazoo), ("zkcli", zkcli), ("zk-client", zk_client), ("requests", requests), ("time", time)];

/// Returns the names of the recorded clients of zk-mini.
pub fn clients() -> impl Iterator<Item = &'static str> {
    CLIENTS.iter().map(|(name, _)| *name)
}

fn record_client(client: TrafficClient) -> io::Result<Recording> {
    let server = Server::in_memory()?;
    let recorder = Recorder::start(Protocol::ZooKeeper, server.addr()?)?;
    client(&server, &recorder)?;
    let recording = recorder.finish();
    server.stop();
    Ok(recording)
}

fn kazoo(_: &Server, recorder: &Recorder) -> io::Result<()> {
    let mut command = programs::python("tests/compat/clients/kazoo_client.py");
    succeed(command.env("ZK_HOSTS", recorder.addr().to_string()))
}

fn zkcli(_: &Server, recorder: &Recorder) -> io::Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/clients/zkcli.txt");
    let mut command = Command::new("bash");
    command
        .args(["-c", r#"input=$0; exec java "$@" <"$input""#])
        .arg(file)
        .args(JVM_OPTIONS)
        .arg("-cp")
        .arg(Release::V3_9.directory().join("*"));
    command.args(["org.apache.zookeeper.ZooKeeperMain", "-server", &recorder.addr().to_string()]);
    let mut client = Process::start(&mut command);
    let status = client.wait_for(Duration::from_secs(120));
    // Its status is that of the last command.
    if status.success() { Ok(()) } else { Err(io::Error::other(client.to_string())) }
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn zk_client(_: &Server, recorder: &Recorder) -> io::Result<()> {
    let servers = recorder.addr().to_string();
    let runtime = Runtime::new()?;
    let used = runtime.block_on(use_zk_client(&servers));
    used.map_err(io::Error::other)?;
    let registered: Result<(), registry::Error> = runtime.block_on(async {
        let registry = Registry::connect(&format!("{servers}/chroot")).await?;
        let mut seen = registry.subscribe("demo").await?;
        let registration = registry.register("demo", Instance::new("127.0.0.1", 8080)).await?;
        while seen.current().is_empty() {
            seen.changed().await;
        }
        registration.withdraw().await?;
        while !seen.current().is_empty() {
            seen.changed().await;
        }
        drop(seen);
        registry.close().await
    });
    registered.map_err(io::Error::other)
}

async fn use_zk_client(servers: &str) -> Result<(), zk_client::Error> {
    let client = Client::builder().servers(servers).seed(1).connect().await?;
    client.create("/ours", "data", CreateMode::Persistent).await?;
    client.create("/ours/s-", "", CreateMode::EphemeralSequential).await?;
    client.ensure_path("/ours/deep/down").await?;
    client.set("/ours", "changed", Expected::Any).await?;
    let (_, _, watch) = client.get_and_watch("/ours").await?;
    let (_, _, children) = client.children_and_watch("/ours").await?;
    let (_, creation) = client.exists_and_watch("/ours/later").await?;
    client.set("/ours", "once more", Expected::Any).await?;
    client.create("/ours/later", "", CreateMode::Persistent).await?;
    drop((watch, children, creation));
    client.get_all(&["/ours".into(), "/missing".into()]).await;
    client.add_auth("digest", "user:password").await?;
    client.set_acl("/ours/later", &[Acl::open()], Expected::Any).await?;
    client.acl("/ours/later").await?;
    client.sync("/").await?;
    client.delete("/ours/later", Expected::Any).await?;
    client.close().await
}

/// Every request, well and badly formed, by scripts of the differential test.
fn requests(_: &Server, recorder: &Recorder) -> io::Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential");
    let mut subject = Subject::connect(recorder.addr())?;
    for name in SCRIPTS {
        let script = fs::read_to_string(dir.join(name).with_extension("script"))?;
        subject.run(&script.parse().map_err(io::Error::other)?)?;
    }
    Ok(())
}

/// Those with whole frames of a moderate length.
const SCRIPTS: &[&str] = &[
    "golden",
    "scripts/acl",
    "scripts/check-watches",
    "scripts/create-rules",
    "scripts/delete-and-set-rules",
    "scripts/empty-path",
    "scripts/ephemerals-and-their-end",
    "scripts/multi",
    "scripts/multi-after-a-failed-op",
    "scripts/multi-of-the-other-kind",
    "scripts/multi-unreadable",
    "scripts/nulls",
    "scripts/persistent-watches",
    "scripts/quota",
    "scripts/sessions",
    "scripts/stat-and-counters",
    "scripts/watches",
];

/// Sessions that expire, nodes that outlive their time.
fn time(server: &Server, recorder: &Recorder) -> io::Result<()> {
    let mut clients = Clients::default();
    for line in input("time.script")?.lines() {
        match line.strip_prefix("! ") {
            Some(act) => {
                let millis = act.strip_prefix("advance ").and_then(|millis| millis.parse().ok());
                recorder.act(act);
                server.advance(Duration::from_millis(millis.ok_or_else(|| io::Error::other("no such act"))?));
            }
            None => drop(clients.perform(recorder.addr(), line)?),
        }
    }
    Ok(())
}

fn record_conversation(format: Format) -> io::Result<Recording> {
    let mut server = RunningService::start()?;
    let recorder = Recorder::start(Protocol::Rpc, server.addr())?;
    let mut acted = Ok(());
    let act = |act: &str| {
        match act {
            "dropped" => recorder.wait_for("a cancel", rpc::is_cancel),
            "release" => recorder.wait_for("a go-away", rpc::is_goaway),
            "ended" => recorder.wait_for("the end", |line| matches!(line, Line::Closed(_))),
            _ => {}
        }
        if matches!(act, "drain" | "release") {
            recorder.act(act);
        }
        acted = acted.clone().and(server.act(act));
        if !matches!(act, "drain" | "release") {
            recorder.act(act);
        }
    };
    rpc::converse(recorder.addr(), format, act).and(acted).map_err(io::Error::other)?;
    Ok(recorder.finish())
}

fn record_python() -> io::Result<Recording> {
    let server = RunningService::start()?;
    let recorder = Recorder::start(Protocol::Rpc, server.addr())?;
    let mut command = programs::python("../rpc/wire/examples/client.py");
    command.args([recorder.addr().ip().to_string(), recorder.addr().port().to_string()]);
    succeed(command.args(["echo", &rpc::order_as_json()]))?;
    Ok(recorder.finish())
}

/// Sends one frame after the other, each after the answer to the one before.
fn record_uncommon() -> io::Result<Recording> {
    let server = RunningService::start()?;
    let mut stream = TcpStream::connect(server.addr())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = Vec::new();
    for frame in rpc::uncommon_frames() {
        frames::write(&mut stream, &frame)?;
        let is_answered = rpc::is_answered(&frame);
        lines.push(Line::Sent(0, frame));
        if is_answered {
            let answer = frames::read(&mut stream)?.ok_or_else(|| io::Error::other("no answer"))?;
            lines.push(Line::Received(0, rpc::expected(&answer)));
        }
    }
    Ok(Recording { lines })
}
