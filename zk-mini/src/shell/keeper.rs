//! The task that writes the journal to the disk, and snapshots beside it.
//!
//! If the disk fails, the server goes back to the durable state, and serves it read-only until the disk works again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::core::{Image, ImageWalk};
use crate::shell::engine::Engine;
use crate::shell::journal::{Journal, Mark};
use crate::shell::state::ServerState;
use crate::storage::{Snapshots, StorageError, Store};

/// Time between two attempts to write to a disk that has failed.
const RETRY: Duration = Duration::from_secs(1);

/// Writes the journal until the server has stopped and everything is written.
pub(crate) async fn keep(engine: Arc<Engine>, store: Store) {
    let Some((mut store, mut snapshot)) = begin_snapshot(&engine, store).await else { return };
    loop {
        let (batch, losing, stopped) = engine.turn(|state, _| {
            (state.journal.as_mut().and_then(Journal::take), state.losing.take(), state.stopped)
        });
        if let Some(losing) = losing {
            snapshot.end().await;
            snapshot = SnapshotProgress::None;
            let Some(kept) = lose_unsynced(&engine, store, losing).await else { return };
            store = kept;
            continue;
        }
        let Some(mut batch) = batch else {
            if stopped {
                break;
            }
            if let SnapshotProgress::Walking(_) = snapshot {
                snapshot = snapshot.go_on(&engine, &store);
                tokio::task::yield_now().await;
            } else {
                engine.journal_filled.notified().await;
            }
            continue;
        };
        let exchanged = batch.exchanged.take();
        if exchanged.is_some() {
            snapshot.end().await;
            snapshot = SnapshotProgress::None;
        }
        let append = move |store: &mut Store| {
            let begun = exchanged.map_or(Ok(()), |image| store.exchange(&image));
            (begun.and_then(|()| store.append(batch.transactions())), batch)
        };
        let Some((kept, (written, batch))) = with(&engine, store, append).await else { return };
        store = kept;
        if let Err(error) = written {
            drop(batch);
            // A snapshot of changes that have not become durable must not be written.
            snapshot.end().await;
            snapshot = SnapshotProgress::None;
            let Some(kept) = wait_for_disk(&engine, store, error).await else { return };
            store = kept;
            continue;
        }
        engine.perform_durable(batch).await;
        // Answered clients may send more writes: they join the next batch.
        tokio::task::yield_now().await;
        snapshot = snapshot.go_on(&engine, &store);
        if let SnapshotProgress::None = snapshot {
            let Some(begun) = begin_snapshot(&engine, store).await else { return };
            (store, snapshot) = begun;
        }
    }
    snapshot.end().await;
    close(store).await;
}

/// Closes the storage, which waits for the disk.
async fn close(store: Store) {
    let _ = spawn_blocking(move || drop(store)).await;
}

/// Ends the log and begins a snapshot, if it is time for one. `None` as for [`with`].
async fn begin_snapshot(engine: &Engine, store: Store) -> Option<(Store, SnapshotProgress)> {
    if !store.wants_snapshot() {
        return Some((store, SnapshotProgress::None));
    }
    let (store, ended) = with(engine, store, Store::roll).await?;
    let snapshot = match ended {
        Ok(()) => SnapshotProgress::Walking(engine.look(|state| ImageWalk::new(&state.core))),
        Err(error) => {
            log!(ERROR, %error, "no snapshot: the log cannot be ended");
            SnapshotProgress::None
        }
    };
    Some((store, snapshot))
}

/// Calls `work` on a thread that may block. `None` if the runtime has ended, or the store is lost by a panic: then
/// nothing more can be kept, and the server stops.
async fn with<T: Send + 'static>(
    engine: &Engine,
    mut store: Store,
    work: impl FnOnce(&mut Store) -> T + Send + 'static,
) -> Option<(Store, T)> {
    let worked = spawn_blocking(move || {
        let result = work(&mut store);
        (store, result)
    });
    let worked = worked.await.inspect_err(|error| {
        if error.is_panic() {
            log!(ERROR, %error, "a defect of zk-mini has lost the storage: the server closes all connections");
            engine.stop();
        }
    });
    worked.ok()
}

/// Loses what is not durable, and goes on with the rest. `None` if the server, or its runtime, has ended.
async fn lose_unsynced(
    engine: &Engine,
    store: Store,
    losing: oneshot::Sender<Result<(), StorageError>>,
) -> Option<Store> {
    let now = engine.look(|state| state.clock.now());
    let (mut store, durable) = with(engine, store, move |store| store.lose_unsynced(now)).await?;
    let result = match durable {
        Ok(core) => {
            engine.go_on_with(core);
            Ok(())
        }
        Err(error) => {
            let cause = io::Error::other(error.to_string());
            store = wait_for_disk(engine, store, cause).await?;
            Err(error)
        }
    };
    // The caller may have gone.
    let _ = losing.send(result);
    Some(store)
}

/// Goes back to the durable state, and serves only that until the disk can be written again. `None` if the server, or
/// its runtime, has ended before.
async fn wait_for_disk(engine: &Engine, mut store: Store, error: io::Error) -> Option<Store> {
    log!(ERROR,
        %error, log = %store.place().display(),
        "cannot write to the disk: all clients are disconnected, and writes are refused until the disk accepts them; \
         no lost write was acknowledged; trying every second"
    );
    let reason = error.to_string().into();
    engine.turn(|state, _| state.disk_failure = Some(reason));
    let mut wait = Duration::ZERO;
    let mut served = false;
    loop {
        let has_stopped = engine.turn(|state, _| {
            // A server that has stopped refuses for that reason.
            state.disk_failure.take_if(|_| state.stopped);
            state.stopped
        });
        if has_stopped {
            close(store).await;
            return None;
        }
        engine.runtime.sleep(wait).await;
        wait = RETRY;
        if served {
            let tried;
            (store, tried) = with(engine, store, Store::try_again).await?;
            if tried.is_ok() {
                break;
            }
            continue;
        }
        let now = engine.look(|state| state.clock.now());
        let durable;
        (store, durable) = with(engine, store, move |store| store.go_back(now)).await?;
        match durable {
            Ok(core) => {
                engine.go_back(core);
                (served, wait) = (true, Duration::ZERO);
            }
            Err(error) => log!(ERROR, %error, "cannot read the state from the disk: nothing is served"),
        }
    }
    engine.turn(|state, turn| {
        state.disk_failure = None;
        state.core.accept_writes(turn.now);
        state.perform_all(None, turn);
    });
    log!(INFO, log = %store.place().display(), "the disk accepts writes again");
    Some(store)
}

/// Progress of a snapshot.
enum SnapshotProgress {
    None,
    /// It is being copied, in steps, while the server serves.
    Walking(ImageWalk),
    /// It is copied; it may be written when everything before the mark is durable.
    Taken(Image, Option<Mark>),
    /// It is being written on another thread.
    Writing(JoinHandle<()>),
}

impl SnapshotProgress {
    /// Does the next step.
    fn go_on(self, engine: &Engine, store: &Store) -> Self {
        match self {
            Self::Walking(mut walk) => {
                let step = engine.look(|state| {
                    if walk.visit(&state.core, store.snap_step) {
                        Self::Taken(walk.end(&state.core), state.journal.as_ref().map(Journal::mark))
                    } else {
                        Self::Walking(walk)
                    }
                });
                if let Self::Taken(..) = step { step.go_on(engine, store) } else { step }
            }
            Self::Taken(image, Some(mark)) if !engine.look(|state| has_passed(state, mark)) => {
                Self::Taken(image, Some(mark))
            }
            Self::Taken(image, _) => Self::write(image, store.snapshots()),
            Self::Writing(writing) if writing.is_finished() => Self::None,
            other => other,
        }
    }

    fn write(image: Image, snapshots: Snapshots) -> Self {
        Self::Writing(spawn_blocking(move || match snapshots.write(&image) {
            Ok(()) => log!(INFO, zxid = %image.last_zxid, nodes = image.nodes.len(), "snapshot written"),
            Err(error) => log!(ERROR, %error, zxid = %image.last_zxid, "no snapshot: the logs are kept"),
        }))
    }

    /// Cancels it, or waits until it is written. A failure has been logged.
    async fn end(self) {
        if let Self::Writing(writing) = self {
            let _ = writing.await;
        }
    }
}

fn has_passed(state: &ServerState, mark: Mark) -> bool {
    state.journal.as_ref().is_none_or(|journal| journal.has_passed(mark))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::BytesMut;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use zk_wire::{ByteString, ConnectRequest, Encode, Millis, OpCode, RequestHeader, SessionId, Xid, Zxid};

    use super::*;
    use crate::ZkMini;
    use crate::core::{Change, Config, Now, Output, Txn};
    use crate::storage::{Device, Settings, SimulatedDisk};

    /// Returns the number of steps of a snapshot, with steps of this many nodes.
    async fn steps(zk: &ZkMini, snap_step: usize) -> usize {
        let device = Device::Simulated(SimulatedDisk::new(1));
        let settings = Settings { device, snap_step, ..Settings::default() };
        let opened = Store::open(Path::new("/data"), settings, Config::default(), Now::default());
        let store = opened.unwrap().1;
        let mut snapshot = SnapshotProgress::Walking(zk.engine.look(|state| ImageWalk::new(&state.core)));
        let mut taken = 0;
        while let SnapshotProgress::Walking(_) = snapshot {
            snapshot = snapshot.go_on(&zk.engine, &store);
            taken += 1;
        }
        snapshot.end().await;
        taken
    }

    #[tokio::test]
    async fn a_snapshot_is_taken_in_steps_of_snap_step_nodes() {
        let zk = ZkMini::builder().in_memory().start().await.unwrap();
        let moves = steps(&zk, 1).await;
        assert!(moves >= zk.engine.look(|state| state.core.node_count()), "{moves}");
        assert_eq!(steps(&zk, 3).await, moves.div_ceil(3));
        assert_eq!(steps(&zk, 1_000).await, 1);
    }

    #[tokio::test]
    async fn a_snapshot_waits_for_all_batches_before_its_end_also_beyond_an_exchange() {
        let zk = ZkMini::builder().in_memory().start().await.unwrap();
        let settings = Settings { device: Device::Simulated(SimulatedDisk::new(1)), ..Settings::default() };
        let store = Store::open(Path::new("/data"), settings, Config::default(), Now::default()).unwrap().1;
        // No task takes the batches.
        zk.engine.turn(|state, turn| {
            let mut journal = Journal::default();
            journal.hold(Output::Persist(Txn {
                zxid: Zxid(1),
                time: turn.now.wall,
                session: SessionId(1),
                xid: Xid(0),
                change: Change::CreateSession { timeout: Millis(4_000) },
                digest: None,
            }));
            journal.exchange(state.core.image());
            state.journal = Some(journal);
        });
        let walk = zk.engine.look(|state| ImageWalk::new(&state.core));
        let mut snapshot = SnapshotProgress::Walking(walk).go_on(&zk.engine, &store);
        for waits_for_more in [true, false] {
            assert!(matches!(snapshot, SnapshotProgress::Taken(..)), "{waits_for_more}");
            let batch = zk.engine.turn(|state, _| state.journal.as_mut().and_then(Journal::take)).unwrap();
            assert_eq!(batch.exchanged.is_none(), waits_for_more);
            zk.engine.perform_durable(batch).await;
            snapshot = snapshot.go_on(&zk.engine, &store);
        }
        assert!(matches!(snapshot, SnapshotProgress::Writing(_)));
        snapshot.end().await;
    }

    fn frame(head: &impl Encode, zeros: usize) -> BytesMut {
        let mut body = BytesMut::new();
        head.encode(&mut body);
        body.resize(body.len() + zeros, 0);
        let mut frame = BytesMut::from(&u32::try_from(body.len()).unwrap().to_be_bytes()[..]);
        frame.extend(body);
        frame
    }

    fn connect_request() -> ConnectRequest {
        ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(0),
            timeout: 4_000,
            session_id: SessionId::NONE,
            password: None,
            read_only: Some(false),
        }
    }

    async fn session(zk: &ZkMini) -> DuplexStream {
        let mut stream = zk.connect();
        stream.write_all(&frame(&connect_request(), 0)).await.unwrap();
        stream.read_exact(&mut [0; 41]).await.unwrap();
        stream
    }

    #[tokio::test]
    async fn a_session_that_is_not_read_because_of_a_slow_disk_does_not_expire() {
        let builder = ZkMini::builder().in_memory().manual_clock().max_backlog(64 << 10);
        let zk = builder.data_dir("/data").disk(&SimulatedDisk::new(1)).start().await.unwrap();
        let (mut writing, _silent) = (session(&zk).await, session(&zk).await);
        // From here on the disk takes nothing.
        zk.engine.turn(|state, _| state.journal = Some(Journal::stuck()));
        let header = RequestHeader { xid: Xid(1), op: OpCode::CREATE };
        let refused = frame(&header, 4_000);
        for _ in 0..8 {
            writing.write_all(&refused).await.unwrap();
        }
        for _ in 0..5 {
            zk.engine.handle_pending_input().await;
            assert!(zk.engine.advance(Duration::from_secs(3)));
        }
        assert_eq!(zk.sessions().len(), 1, "the client that has written lives, the silent one does not");
    }

    #[tokio::test]
    async fn clients_that_come_and_go_while_the_disk_hangs_leave_a_bounded_number_of_bytes() {
        const BACKLOG: usize = 1 << 20;
        let builder = ZkMini::builder().in_memory().manual_clock().max_backlog(BACKLOG);
        let zk = builder.data_dir("/data").disk(&SimulatedDisk::new(1)).start().await.unwrap();
        zk.engine.turn(|state, _| state.journal = Some(Journal::stuck()));
        let held = || zk.engine.look(|state| state.journal.as_ref().map_or(0, Journal::held_bytes));
        for _ in 0..20 {
            let mut stream = zk.connect();
            stream.write_all(&frame(&connect_request(), 0)).await.unwrap();
            // More than the server reads of it, so it waits.
            let refused = frame(&RequestHeader { xid: Xid(1), op: OpCode::CREATE }, 100_000);
            let write = async {
                for _ in 0..8 {
                    stream.write_all(&refused).await.unwrap();
                }
            };
            tokio::select! {
                () = write => {}
                () = async { zk.engine.handle_pending_input().await; zk.engine.handle_pending_input().await } => {}
            }
            zk.engine.handle_pending_input().await;
        }
        assert!(held() >= BACKLOG, "{}", held());
        assert!(held() < 2 * BACKLOG, "{}", held());
    }

    #[tokio::test]
    async fn the_watches_of_an_ended_connection_are_removed_whatever_the_clock() {
        let zk = ZkMini::builder().in_memory().manual_clock().start().await.unwrap();
        let mut watching = session(&zk).await;
        for n in 0..5_000 {
            let mut exists = frame(&RequestHeader { xid: Xid(n), op: OpCode::EXISTS }, 0);
            ByteString::from(format!("/{n}")).encode(&mut exists);
            exists.extend_from_slice(&[1]);
            let length = u32::try_from(exists.len() - 4).unwrap().to_be_bytes();
            exists[..4].copy_from_slice(&length);
            watching.write_all(&exists).await.unwrap();
            watching.read_exact(&mut [0; 20]).await.unwrap();
        }
        drop(watching);
        let is_gone =
            || zk.engine.look(|state| state.core.connections().is_empty() && !state.core.is_untidy());
        let gone = async {
            while !is_gone() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_the_lost_state_had_closed_is_closed() {
        let zk = ZkMini::builder().in_memory().manual_clock().start().await.unwrap();
        // No task takes the order, so there is time for a client.
        zk.engine.turn(|state, _| state.journal = Some(Journal::default()));
        assert!(zk.engine.lose_unsynced().is_ok());
        let mut refused = zk.connect();
        let password = Some(vec![0; 16].into());
        let resume = ConnectRequest { session_id: SessionId(7), password, ..connect_request() };
        refused.write_all(&frame(&resume, 0)).await.unwrap();
        zk.engine.handle_pending_input().await;
        assert!(zk.engine.look(|state| state.core.connections().is_empty()), "the core has refused it");
        zk.engine.go_on_with(crate::core::Core::new(Config::default()));
        let mut answer = Vec::new();
        let ended = refused.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_loss_that_a_failing_disk_forestalls_is_refused() {
        let zk = ZkMini::builder().in_memory().manual_clock().start().await.unwrap();
        zk.engine.turn(|state, _| state.journal = Some(Journal::default()));
        let fails = async {
            while zk.engine.look(|state| state.losing.is_none()) {
                tokio::task::yield_now().await;
            }
            zk.engine.go_back(crate::core::Core::new(Config::default()));
        };
        let both = async { tokio::join!(zk.restart_losing_unsynced(), fails).0 };
        let refused = tokio::time::timeout(Duration::from_secs(5), both).await.unwrap();
        assert!(matches!(refused, Err(crate::RestoreError::ReadOnly)), "{refused:?}");
    }
}
