//! Losses of power at random moments: the recovered state is an earlier one, with all acknowledged writes. Without syncs
//! it may be older, or unreadable.

use std::collections::{HashMap, HashSet};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zk_mini::ZkMini;
use zk_mini::core::{Config, ConnId, Core, Image, Input, NodeKind, Now, Output, Peer, Txn};
use zk_mini::storage::{SimulatedDisk, StorageError, SyncMode};
use zk_wire::{Millis, UnixMillis};

use crate::raw::{
    CREATE, DELETE, MULTI, Raw, SET_DATA, connect_request, create, delete, frame, multi, request, set_data,
    within,
};

const DIR: &str = "/data";
const LOG_DIR: &str = "/logs";
const CLIENTS: usize = 2;

const CREATE_CONTAINER: i32 = 19;
const CREATE_TTL: i32 = 21;
/// Flag of a container; higher ones are of nodes with a time to live.
const CONTAINER: i32 = 4;
const TTL: i64 = 700;
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
enum Step {
    /// A client sends these requests at once.
    Send(usize, Vec<Op>),
    /// A client begins a session of its own, on a new connection.
    Connect(usize),
    Advance(u64),
}

#[derive(Clone, Debug)]
enum Op {
    Create(&'static str, i32),
    Set(&'static str, Vec<u8>),
    Delete(&'static str),
    Multi(Vec<Self>),
}

/// One run of a server: it ends after this many changes to the disk, or when its steps are done.
#[derive(Clone, Debug)]
struct Life {
    changes: u64,
    steps: Vec<Step>,
}

fn op() -> impl Strategy<Value = Op> {
    let path = || proptest::sample::select(vec!["/a", "/b", "/a/x", "/a/y", "/none/x"]);
    // Some data are longer than a sector, and some are zeros.
    let data = prop_oneof![
        2 => proptest::collection::vec(any::<u8>(), 0..8),
        1 => (any::<u8>(), 500..2_000_usize).prop_map(|(byte, len)| vec![byte; len]),
        1 => Just(vec![0; 1_500]),
    ];
    let one = prop_oneof![
        6 => (path(), 0..7).prop_map(|(path, flags)| Op::Create(path, flags)),
        2 => (path(), data).prop_map(|(path, data)| Op::Set(path, data)),
        2 => path().prop_map(Op::Delete),
    ];
    prop_oneof![5 => one.clone(), 1 => proptest::collection::vec(one, 0..4).prop_map(Op::Multi)]
}

fn life() -> impl Strategy<Value = Life> {
    let step = prop_oneof![
        8 => (0..CLIENTS, proptest::collection::vec(op(), 1..6)).prop_map(|(who, ops)| Step::Send(who, ops)),
        1 => (0..CLIENTS).prop_map(Step::Connect),
        1 => (0..5_000_u64).prop_map(Step::Advance),
    ];
    let life = (0..80_u64, proptest::collection::vec(step, 1..15));
    life.prop_map(|(changes, steps)| Life { changes, steps })
}

impl Op {
    fn encode(&self) -> (i32, Vec<u8>) {
        match self {
            Self::Create(path, CONTAINER) => (CREATE_CONTAINER, create(path, CONTAINER)),
            Self::Create(path, flags) if *flags > CONTAINER => {
                (CREATE_TTL, [create(path, *flags), TTL.to_be_bytes().to_vec()].concat())
            }
            Self::Create(path, flags) => (CREATE, create(path, *flags)),
            Self::Set(path, data) => (SET_DATA, set_data(path, data)),
            Self::Delete(path) => (DELETE, delete(path)),
            Self::Multi(ops) => (MULTI, multi(&ops.iter().map(Self::encode).collect::<Vec<_>>())),
        }
    }
}

/// The expected behaviour: the core without a disk, with the same inputs.
struct Reference {
    core: Core,
    now: u64,
    start: Image,
    txns: Vec<Txn>,
    /// Bytes that each connection is to be told.
    told: Vec<Vec<u8>>,
}

impl Reference {
    fn new(mut core: Core) -> Self {
        core.recovered(at(0));
        Self { start: core.image(), core, now: 0, txns: Vec::new(), told: Vec::new() }
    }

    fn handle(&mut self, input: Input) {
        self.core.handle(at(self.now), input);
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Persist(txn) => self.txns.push(txn),
                Output::Send { conn, frame } => {
                    self.told[usize::try_from(conn.0).unwrap()].extend_from_slice(&frame);
                }
                _ => {}
            }
        }
    }

    fn accept(&mut self) -> usize {
        self.told.push(Vec::new());
        let conn = self.told.len() - 1;
        self.handle(Input::Accepted { conn: conn_id(conn), peer: Peer::LOCAL, listener: None });
        conn
    }

    fn frame(&mut self, conn: usize, body: Vec<u8>) {
        self.handle(Input::Frame { conn: conn_id(conn), frame: Bytes::from(body) });
    }

    fn advance(&mut self, by: u64) {
        let target = self.now + by;
        while let Some(deadline) = self.core.poll_deadline().filter(|deadline| deadline.0 <= target) {
            self.now = self.now.max(deadline.0);
            self.handle(Input::Timeout);
        }
        self.now = target;
        self.handle(Input::Timeout);
    }

    /// Returns the state after the transaction of this zxid.
    fn state_at(&self, zxid: i64) -> Image {
        let mut core = Core::restore(config(), Now::default(), self.start.clone());
        for txn in self.txns.iter().filter(|txn| txn.zxid.0 <= zxid) {
            core.replay(Now::default(), txn.clone());
        }
        core.image()
    }
}

/// Returns the configuration of the server.
fn config() -> Config {
    let container_check_interval = CHECK_INTERVAL.into();
    Config { digests: true, extended_types: true, container_check_interval, ..Config::default() }
}

fn at(mono: u64) -> Now {
    const MANUAL_START: i64 = 1_577_836_800_000;
    Now { mono: Millis(mono), wall: UnixMillis(MANUAL_START + i64::try_from(mono).unwrap()) }
}

fn conn_id(conn: usize) -> ConnId {
    ConnId(u64::try_from(conn).unwrap())
}

/// A connection, its number in the reference, and the bytes that it has been told.
struct Client {
    raw: Raw,
    conn: usize,
    told: Vec<u8>,
}

/// Runs a server until the power goes. Returns the last zxid that a client was told of; `None` if the server did not
/// start.
async fn live(disk: &SimulatedDisk, sync: SyncMode, life: &Life, reference: &mut Reference) -> Option<i64> {
    let [block, count] = [1_024, 10].map(|n| NonZeroU64::new(n).unwrap());
    let [step, retain] = [3, 2].map(|n| NonZeroUsize::new(n).unwrap());
    let builder =
        ZkMini::builder().in_memory().seed(0).manual_clock().data_dir(DIR).data_log_dir(LOG_DIR).disk(disk);
    disk.lose_power_after(life.changes);
    let builder = builder.extended_types(true).container_check_interval(CHECK_INTERVAL);
    let builder =
        builder.sync(sync).pre_alloc_size(block).snap_count(count).snap_step(step).retain_snapshots(retain);
    let zk = match builder.start().await {
        Ok(zk) => zk,
        Err(error) => {
            assert!(disk.is_off(), "{error}");
            return None;
        }
    };
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(connect(&zk, disk, reference).await);
    }
    let mut xid = 0;
    for step in &life.steps {
        if disk.is_off() {
            break;
        }
        match step {
            Step::Send(who, ops) => {
                let client = &mut clients[*who];
                let mut bytes = Vec::new();
                for op in ops {
                    xid += 1;
                    let (code, body) = op.encode();
                    let body = request(xid, code, &body);
                    bytes.extend(frame(&body));
                    reference.frame(client.conn, body);
                }
                // A client whose session has expired is not heard.
                let _ = client.raw.stream.write_all(&bytes).await;
                client.hear(disk, reference).await;
            }
            Step::Connect(who) => {
                let old = std::mem::replace(&mut clients[*who], connect(&zk, disk, reference).await);
                // It is told before anything else, so that both know it at the same time.
                drop(old.raw);
                reference.handle(Input::Closed { conn: conn_id(old.conn) });
            }
            Step::Advance(by) => {
                reference.advance(*by);
                let moved = async {
                    tokio::select! {
                        () = zk.advance(Duration::from_millis(*by)) => {}
                        () = off(disk) => {}
                    }
                };
                within(moved).await;
            }
        }
    }
    disk.lose_power();
    clients.iter().map(|client| told_zxid(&client.told)).max()
}

async fn connect(zk: &ZkMini, disk: &SimulatedDisk, reference: &mut Reference) -> Client {
    let mut client = Client { raw: Raw::in_memory(zk), conn: reference.accept(), told: Vec::new() };
    reference.frame(client.conn, connect_request(4_000));
    client.raw.send(&connect_request(4_000)).await;
    client.hear(disk, reference).await;
    client
}

impl Client {
    /// Reads the bytes that the client is to be told, unless the power goes before.
    async fn hear(&mut self, disk: &SimulatedDisk, reference: &Reference) {
        let expected = &reference.told[self.conn];
        while self.told.len() < expected.len() {
            let heard = async {
                tokio::select! {
                    read = self.raw.stream.read_buf(&mut self.told) => read.unwrap(),
                    () = off(disk) => 0,
                }
            };
            if within(heard).await == 0 {
                break;
            }
        }
        assert!(expected.starts_with(&self.told), "{:?} is not the beginning of {expected:?}", self.told);
    }
}

async fn off(disk: &SimulatedDisk) {
    while !disk.is_off() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Returns the highest zxid in whole replies behind the handshake.
fn told_zxid(mut told: &[u8]) -> i64 {
    let (mut highest, mut first) = (0, true);
    while let Some((len, rest)) = told.split_first_chunk::<4>() {
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap();
        let Some((body, rest)) = rest.split_at_checked(len) else { break };
        if !std::mem::take(&mut first) {
            highest = highest.max(i64::from_be_bytes(body[4..12].try_into().unwrap()));
        }
        told = rest;
    }
    highest
}

/// Returns the names of the sequence nodes of a state. Each comes with its parent's czxid, as numbers begin anew with
/// the parent, and with its own czxid.
fn sequence_names(image: &Image) -> impl Iterator<Item = ((i64, String), i64)> {
    let czxids: HashMap<_, _> = image.nodes.iter().map(|node| (&*node.path, node.czxid.0)).collect();
    let numbered = image.nodes.iter().filter(|node| node.path.len() > 10);
    numbered.map(move |node| {
        let (parent, _) = zk_wire::path::split(&node.path).expect("not the root");
        ((czxids[parent], node.path.to_string()), node.czxid.0)
    })
}

fn survives(seed: u64, sync: SyncMode, lives: &[Life]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let disk = SimulatedDisk::new(seed);
    let mut reference = Reference::new(Core::new(config()));
    let mut names = HashSet::new();
    let mut served = false;
    for life in lives {
        let acknowledged = runtime.block_on(live(&disk, sync, life, &mut reference));
        disk.restore_power();
        served |= acknowledged.is_some();
        let recovery = match disk.recover(Path::new(DIR), Some(Path::new(LOG_DIR)), config()) {
            Ok(recovery) => recovery,
            // The last write lies in pieces, which no server may guess at.
            Err(StorageError::Log { .. }) if sync == SyncMode::None => return,
            Err(error) => {
                assert!(!served, "{error}");
                continue;
            }
        };
        let zxid = recovery.core.last_zxid().0;
        let state = recovery.core.image();
        assert!(sync == SyncMode::None || Some(zxid) >= acknowledged, "{zxid} of {acknowledged:?} is left");
        assert_eq!(state, reference.state_at(zxid));
        assert_ne!(recovery.verified, Some(false), "the digest in the log is another");
        for node in &state.nodes {
            if let NodeKind::Ephemeral(owner) = node.kind {
                assert!(state.sessions.iter().any(|(id, _)| *id == owner), "{} has no session", node.path);
            }
        }
        // A name that survived is never given to another node.
        for (name, czxid) in sequence_names(&state) {
            assert!(
                names.contains(&(name.clone(), czxid)) || names.iter().all(|(other, _)| *other != name),
                "{name:?}"
            );
            names.insert((name, czxid));
        }
        reference = Reference::new(recovery.core);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_recovered_state_is_an_earlier_one_with_all_acknowledged_writes(
        seed in any::<u64>(),
        sync in prop_oneof![Just(SyncMode::Group), Just(SyncMode::Always), Just(SyncMode::None)],
        lives in proptest::collection::vec(life(), 1..5),
    ) {
        survives(seed, sync, &lives);
    }
}
