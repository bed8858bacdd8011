//! The core and the model agree in every reply, every event and the final tree, and the persisted transactions give
//! the same tree again.

use bytes::Bytes;
use proptest::prelude::*;
use zk_mini::core::{Config, ConnId, Core, ImageWalk};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;
use crate::model::*;

const CLIENTS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Run(usize, Op),
    /// Loses the connection and resumes the session on another one.
    Reconnect(usize),
    Advance(u64),
}

fn path() -> impl Strategy<Value = String> {
    let names = vec!["/a", "/b", "/a/x", "/a/y", "/a/x/z", "/b/x", "/none/x"];
    proptest::sample::select(names).prop_map(str::to_owned)
}

fn write_op() -> impl Strategy<Value = Op> {
    let modes = vec![
        CreateMode::Persistent,
        CreateMode::Persistent,
        CreateMode::Ephemeral,
        CreateMode::PersistentSequential,
        CreateMode::EphemeralSequential,
    ];
    let mode = proptest::sample::select(modes);
    let data = || proptest::collection::vec(any::<u8>(), 0..4);
    let version = || prop_oneof![3 => Just(-1), 1 => -2..3];
    prop_oneof![
        5 => (path(), data(), mode).prop_map(|(path, data, mode)| Op::Create { path, data, mode }),
        3 => (path(), version()).prop_map(|(path, version)| Op::Delete { path, version }),
        3 => (path(), data(), version()).prop_map(|(path, data, version)| Op::SetData { path, data, version }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let check = (path(), -2..3).prop_map(|(path, version)| Op::Check { path, version });
    let item = prop_oneof![4 => write_op(), 1 => check];
    let read = || (path(), any::<bool>());
    prop_oneof![
        6 => write_op(),
        2 => proptest::collection::vec(item, 0..5).prop_map(Op::Multi),
        2 => read().prop_map(|(path, watch)| Op::Exists { path, watch }),
        2 => read().prop_map(|(path, watch)| Op::GetData { path, watch }),
        2 => read().prop_map(|(path, watch)| Op::GetChildren { path, watch }),
        1 => Just(Op::CloseSession),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..CLIENTS, op()).prop_map(|(who, op)| Step::Run(who, op)),
        1 => (0..CLIENTS).prop_map(Step::Reconnect),
        2 => (0..500_u64).prop_map(Step::Advance),
    ]
}

fn expected(version: i32) -> Expected {
    Version(version).into()
}

fn multi_op(op: &Op) -> MultiOp {
    match op {
        Op::Create { path, data, mode } => MultiOp::Create(create_with(path, data, *mode)),
        Op::Delete { path, version } => {
            MultiOp::Delete(Delete { path: path.as_str().into(), version: expected(*version) })
        }
        Op::SetData { path, data, version } => MultiOp::SetData(set_data(path, data, *version)),
        Op::Check { path, version } => {
            MultiOp::Check(Check { path: Some(path.as_str().into()), version: expected(*version) })
        }
        other => panic!("{other:?} is not for multis"),
    }
}

fn multi_outcome(result: MultiResult) -> ModelReply {
    match result {
        MultiResult::Create(path) => ModelReply::Path(path.to_string()),
        MultiResult::Delete | MultiResult::Check => ModelReply::Done,
        MultiResult::SetData(stat) => ModelReply::Stat(stat),
        MultiResult::Error(code) => ModelReply::Error(code),
        other => panic!("{other:?} was not asked for"),
    }
}

fn run(t: &mut Driver, conn: ConnId, op: &Op) -> ModelReply {
    let outcome = match op {
        Op::Create { path, data, mode } => t
            .call(conn, &create_with(path, data, *mode))
            .map(|response| ModelReply::Path(response.path.to_string())),
        Op::Delete { path, version } => t
            .call(conn, &Delete { path: path.as_str().into(), version: expected(*version) })
            .map(|()| ModelReply::Done),
        Op::SetData { path, data, version } => {
            t.call(conn, &set_data(path, data, *version)).map(|response| ModelReply::Stat(response.stat))
        }
        Op::Exists { path, watch } => {
            t.call(conn, &exists(path, *watch)).map(|response| ModelReply::Stat(response.stat))
        }
        Op::GetData { path, watch } => t
            .call(conn, &get_data(path, *watch))
            .map(|GetDataResponse { data, stat }| ModelReply::Data(data.unwrap_or_default(), stat)),
        Op::GetChildren { path, watch } => t.call(conn, &get_children(path, *watch)).map(|response| {
            ModelReply::Children(response.children.iter().map(ToString::to_string).collect())
        }),
        Op::Multi(ops) => {
            let ops = ops.iter().map(multi_op).collect();
            t.call(conn, &Multi { ops })
                .map(|response| ModelReply::Multi(response.results.into_iter().map(multi_outcome).collect()))
        }
        Op::CloseSession => t.call(conn, &CloseSession {}).map(|()| ModelReply::Done),
        Op::Check { .. } => panic!("only in multis"),
    };
    outcome.unwrap_or_else(ModelReply::Error)
}

struct Pair {
    t: Driver,
    model: Model,
    conns: Vec<ConnId>,
}

impl Pair {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        Self::of(Driver::with(config))
    }

    fn of(t: Driver) -> Self {
        let mut model = Model::new();
        model.zxid = t.core.last_zxid().0;
        let mut pair = Self { t, model, conns: Vec::new() };
        for _ in 0..CLIENTS {
            let conn = pair.connect();
            pair.conns.push(conn);
        }
        pair
    }

    fn connect(&mut self) -> ConnId {
        self.model.new_session();
        self.t.connect(40_000)
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Run(who, op) => {
                let conn = self.conns[*who];
                self.model.now = self.t.now.wall;
                let session = self.t.session(conn);
                let outcome = self.model.run(*who, session, op);
                assert_eq!(run(&mut self.t, conn, op), outcome, "{op:?}");
                self.compare_events();
                if matches!(op, Op::CloseSession) {
                    self.conns[*who] = self.connect();
                }
            }
            Step::Reconnect(who) => {
                let credentials = self.t.credentials(self.conns[*who]);
                self.t.lose(self.conns[*who]);
                self.model.lose(*who);
                let (conn, response) = self.t.resume(&credentials, 40_000);
                assert_eq!(response.session_id, credentials.id);
                self.conns[*who] = conn;
            }
            Step::Advance(span) => self.t.advance(*span),
        }
        assert_eq!(self.t.core.last_zxid(), Zxid(self.model.zxid));
        invariants::check(&self.t.core);
    }

    fn compare_events(&mut self) {
        for (who, &conn) in self.conns.iter().enumerate() {
            let expected = self.model.events.remove(&who).unwrap_or_default();
            assert_eq!(self.t.events(conn), expected, "client {who}");
        }
    }
}

proptest! {
    #[test]
    fn the_core_agrees_with_the_model(steps in proptest::collection::vec(step(), 1..60)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.step(step);
        }
        let paths: Vec<_> = invariants::nodes(&pair.t.core).into_keys().collect();
        prop_assert_eq!(paths, pair.model.paths());
    }

    #[test]
    fn an_ensemble_that_does_not_lag_agrees_with_the_model(steps in proptest::collection::vec(step(), 1..60)) {
        let mut pair = Pair::of(Driver::ensemble(Config::default(), 3));
        for step in &steps {
            pair.step(step);
        }
        let paths: Vec<_> = invariants::nodes(&pair.t.core).into_keys().collect();
        prop_assert_eq!(paths, pair.model.paths());
    }

    #[test]
    fn a_server_without_transactions_behaves_the_same(steps in proptest::collection::vec(step(), 1..60)) {
        let (mut one, mut other) = (Pair::new(), Pair::with(Config { transactions: false, ..Config::default() }));
        for step in &steps {
            one.step(step);
            other.step(step);
        }
        prop_assert!(other.t.txns.is_empty());
        prop_assert_eq!(other.t.core.image(), one.t.core.image());
    }

    #[test]
    fn persisted_transactions_give_the_same_state(steps in proptest::collection::vec(step(), 1..60)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.step(step);
        }
        let mut again = Core::new(Config::default());
        for txn in &pair.t.txns {
            again.replay(pair.t.now, txn.clone());
        }
        invariants::check(&again);
        prop_assert_eq!(invariants::nodes(&again), invariants::nodes(&pair.t.core));
        prop_assert_eq!(again.last_zxid(), pair.t.core.last_zxid());
        let sessions = |core: &Core| -> Vec<_> {
            core.sessions().into_iter().map(|info| (info.id, info.timeout, info.ephemerals)).collect()
        };
        prop_assert_eq!(sessions(&again), sessions(&pair.t.core));
        // A transaction that is known already has no effect.
        again.replay(pair.t.now, pair.t.txns[0].clone());
        prop_assert_eq!(again.last_zxid(), pair.t.core.last_zxid());
    }

    #[test]
    fn an_image_and_later_transactions_give_the_same_state(
        steps in proptest::collection::vec(step(), 1..60),
        moment in any::<proptest::sample::Index>(),
    ) {
        let mut pair = Pair::new();
        let (before, after) = steps.split_at(moment.index(steps.len()));
        before.iter().for_each(|step| pair.step(step));
        let image = pair.t.core.image();
        after.iter().for_each(|step| pair.step(step));
        let mut again = Core::restore(Config::default(), pair.t.now, image);
        for txn in &pair.t.txns {
            again.replay(pair.t.now, txn.clone());
        }
        again.recovered(pair.t.now);
        invariants::check(&again);
        prop_assert_eq!(again.image(), pair.t.core.image());
    }

    #[test]
    fn an_image_taken_in_steps_and_later_transactions_give_the_same_state(
        before in proptest::collection::vec(step(), 0..60),
        during in proptest::collection::vec((step(), 0_usize..3), 0..40),
        after in proptest::collection::vec(step(), 0..10),
    ) {
        let config = Config { digests: true, ..Config::default() };
        let mut pair = Pair::with(config.clone());
        before.iter().for_each(|step| pair.step(step));
        let mut walk = ImageWalk::new(&pair.t.core);
        for (step, count) in &during {
            walk.visit(&pair.t.core, *count);
            pair.step(step);
        }
        while !walk.visit(&pair.t.core, 1) {}
        let image = walk.end(&pair.t.core);
        prop_assert_eq!(image.digest.map(|(zxid, _)| zxid), Some(pair.t.core.last_zxid()));
        after.iter().for_each(|step| pair.step(step));
        let mut again = Core::restore(config, pair.t.now, image);
        for txn in &pair.t.txns {
            again.replay(pair.t.now, txn.clone());
        }
        prop_assert!(!again.recovered(pair.t.now), "no session is missing");
        invariants::check(&again);
        prop_assert_eq!(again.image(), pair.t.core.image());
    }
}

#[test]
fn a_replayed_core_gives_no_session_id_twice() {
    let mut t = Driver::new();
    let conns = [t.connect(10_000), t.connect(10_000)];
    let ids = conns.map(|conn| t.session(conn));
    let txns = std::mem::take(&mut t.txns);
    let mut again = Driver::new();
    for txn in &txns {
        again.core.replay(again.now, txn.clone());
    }
    let conn = again.connect(10_000);
    assert!(!ids.contains(&again.session(conn)));
    let credentials = t.credentials(conns[0]);
    let (_, response) = again.resume(&credentials, 10_000);
    assert_eq!(response.session_id, ids[0], "and takes the old passwords");
    assert_eq!(response.password.as_ref().map(Bytes::len), Some(16));
}
