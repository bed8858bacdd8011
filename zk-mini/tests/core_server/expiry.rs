//! Sessions end on time with all their nodes, whatever clients do: random stories, told to the core and to a model.
//!
//! `SESSION_STORIES=1000000 cargo nextest run -p zk-mini -E 'test(expiry::)'` tells more stories than CI does.

use std::time::Duration;

use proptest::prelude::*;
use zk_mini::core::{Config, ConnId, Core, Image, ImageWalk, Input, On, Part, Rule, Then};
use zk_wire::*;

use crate::driver::{self, Credentials, Driver, connect_request, encode};
use crate::invariants;
use crate::session_stories::*;

/// The core, and what its owner does for it.
struct World {
    t: Driver,
    config: Config,
    /// Sessions in the order in which they were opened.
    sessions: Vec<Credentials>,
    /// Last connection of each client, with the number of its messages that have been looked at.
    conns: [Option<(ConnId, usize)>; CLIENTS],
    /// Snapshot that is being written, and the last one that was.
    walk: Option<ImageWalk>,
    image: Option<Image>,
}

impl World {
    fn new(story: &Story) -> Self {
        let (min, max) = story.bounds;
        let config = Config {
            tick: Millis(story.tick),
            min_session_timeout: Some(Millis(min)),
            max_session_timeout: Some(Millis(max)),
            ..Config::default()
        };
        let t = Driver::with(config.clone());
        Self { t, config, sessions: Vec::new(), conns: [None; CLIENTS], walk: None, image: None }
    }

    /// Tells the server a step, and returns what its client hears on the connection that it leaves.
    fn perform(&mut self, step: &Step, model: &Model) -> Vec<Heard> {
        let mut heard = Vec::new();
        let of_last = |client: Client| model.last[client.0].map(|session| self.sessions[session].id);
        match *step {
            Step::Open { client, timeout } => {
                self.lose(client);
                let conn = self.handshake(client, &connect_request(i32::try_from(timeout).unwrap()));
                self.sessions.push(self.t.credentials(conn));
            }
            Step::Reattach { client, timeout, right_password } => {
                if let Some(session) = model.last[client.0] {
                    let Credentials { id, password } = self.sessions[session].clone();
                    let wrong = Some(vec![7; 16].into());
                    let before = self.conns[client.0];
                    let request = ConnectRequest {
                        session_id: id,
                        password: if right_password { password } else { wrong },
                        ..connect_request(i32::try_from(timeout).unwrap())
                    };
                    let conn = self.handshake(client, &request);
                    match before {
                        Some((before, seen)) if self.t.is_closed(before) => {
                            heard = self.heard_on(before, seen);
                        }
                        // Refused by a fault, while the connection that it has lives on.
                        Some(_) if model.connected[client.0] => {
                            heard = self.heard_on(conn, 0);
                            self.conns[client.0] = before;
                        }
                        _ => {}
                    }
                }
            }
            Step::Ping(client) | Step::Straggle(client) => {
                let is_straggler = matches!(step, Step::Straggle(_));
                if let Some((conn, _)) = self.conns[client.0]
                    && is_straggler != model.connected[client.0]
                {
                    self.t.ping(conn);
                }
            }
            Step::Create(client, name) => {
                self.request(model, client, &driver::create(&path(name), CreateMode::Ephemeral));
            }
            Step::Delete(client, name) => self.request(model, client, &driver::delete(&path(name))),
            Step::Watch(client, name) => self.request(model, client, &driver::exists(&path(name), true)),
            Step::WatchList(client) => self.request(model, client, &driver::get_children("/", true)),
            Step::Close(client) => self.request(model, client, &CloseSession {}),
            Step::Lose(client) => self.lose(client),
            Step::Wait(span) => {
                self.t.catch_up();
                self.t.advance(span);
            }
            Step::Stall(span) => self.t.stall(span),
            Step::Snapshot => self.walk = Some(ImageWalk::new(&self.t.core)),
            Step::Restart => self.restart(),
            Step::Expire(client) => {
                if let Some(session) = of_last(client) {
                    self.t.input(Input::Expire { session });
                }
            }
            Step::Fault(client, fault) => {
                if let Some(session) = of_last(client) {
                    let rule = rule(fault, session);
                    self.t.core.add_fault(rule, None).expect("a possible rule");
                }
            }
            Step::Freeze(client) | Step::Thaw(client) => {
                if let Some(session) = of_last(client) {
                    let part = Part::Session(session);
                    let is_thaw = matches!(step, Step::Thaw(_));
                    self.t.input(if is_thaw { Input::Thaw { part } } else { Input::Freeze { part } });
                }
            }
        }
        if let Some(mut walk) = self.walk.take() {
            if walk.visit(&self.t.core, 2) {
                self.image = Some(walk.end(&self.t.core));
            } else {
                self.walk = Some(walk);
            }
        }
        heard
    }

    fn handshake(&mut self, client: Client, request: &ConnectRequest) -> ConnId {
        let conn = self.t.accept();
        self.t.frame(conn, encode(request));
        self.conns[client.0] = Some((conn, 0));
        conn
    }

    fn request<R: Request>(&mut self, model: &Model, client: Client, request: &R) {
        if let Some((conn, _)) = self.conns[client.0].filter(|_| model.connected[client.0]) {
            self.t.send(conn, request);
        }
    }

    fn lose(&mut self, client: Client) {
        if let Some((conn, _)) = self.conns[client.0] {
            self.t.lose(conn);
        }
    }

    /// Starts again from the last snapshot and the transactions since then.
    fn restart(&mut self) {
        self.walk = None;
        let (config, now) = (self.config.clone(), self.t.now);
        let mut core = match self.image.clone() {
            Some(image) => Core::restore(config, now, image),
            None => Core::new(config),
        };
        for txn in &self.t.txns {
            core.replay(now, txn.clone());
        }
        assert!(!core.recovered(now), "the log deletes every node of a session that ends");
        self.t.replace(core);
    }

    /// Tells the model of the sessions that have ended since a number of ends.
    fn tell_ends(&self, seen: usize, model: &mut Model) {
        for (at, id, nodes) in &self.t.ends[seen..] {
            let session = self.sessions.iter().position(|it| it.id == *id).expect("a known session");
            let at = Span::at(at.0);
            match nodes {
                Some(nodes) => {
                    let names: Vec<_> = nodes.iter().map(|path| &path[1..]).collect();
                    assert_eq!(names, model.owned(session), "all nodes in one transaction");
                    if model.held.contains_key(&session) {
                        model.nodes_went(session, at);
                    } else {
                        model.expired(session, at);
                    }
                }
                None if model.sessions[session].is_alive => model.expired_without_nodes(session, at),
                None => {}
            }
        }
    }

    fn take_heard(&mut self, client: Client) -> Vec<Heard> {
        let Some((conn, seen)) = self.conns[client.0] else { return Vec::new() };
        self.conns[client.0] = Some((conn, self.t.heard(conn).len()));
        self.heard_on(conn, seen)
    }

    fn heard_on(&self, conn: ConnId, seen: usize) -> Vec<Heard> {
        let heard = |heard: &driver::Heard| match heard {
            driver::Heard::Handshake(response) if response.session_id == SessionId::NONE => Heard::Refused,
            driver::Heard::Handshake(response) => Heard::Welcome(u64::try_from(response.timeout).unwrap()),
            driver::Heard::Event { kind, path, .. } => event(*kind, path),
            driver::Heard::Reply { err, .. } => answer(*err),
            driver::Heard::Closed => Heard::Closed,
        };
        self.t.heard(conn)[seen..].iter().map(heard).collect()
    }

    /// Compares the state of the core with the model's.
    fn check(&self, model: &Model) {
        assert_eq!(self.t.core.last_zxid(), Zxid(model.transactions));
        let mut alive: Vec<_> = (0..self.sessions.len())
            .filter(|&session| model.sessions[session].is_alive)
            .map(|session| (self.sessions[session].id, model.owned(session)))
            .collect();
        alive.sort_unstable();
        let sessions = self.t.core.sessions();
        let sessions: Vec<(_, Vec<_>)> = sessions
            .iter()
            .map(|info| (info.id, info.ephemerals.iter().map(|path| &path[1..]).collect()))
            .collect();
        assert_eq!(sessions, alive, "sessions and their nodes");
        assert_eq!(self.t.core.ephemeral_count(), model.nodes.len(), "no node without a session");
    }
}

/// Returns the rule of a fault.
fn rule(fault: Fault, session: SessionId) -> Rule {
    let writes = On::ops(&[OpCode::CREATE, OpCode::DELETE]);
    let (on, then) = match fault {
        Fault::LoseWrite => (writes, Then::disconnect()),
        Fault::LoseReply => (writes, Then::apply_and_lose_reply()),
        Fault::IgnorePing => (On::op(OpCode::PING), Then::be_silent()),
        Fault::RefuseReturn => (On::reattach(), Then::refuse()),
        Fault::HoldNodes(span) => (On::expiry(), Then::hold_ephemerals(Duration::from_millis(span))),
    };
    Rule::new(on.session(session).times(1), then).expect("a possible rule")
}

fn path(name: &str) -> String {
    format!("/{name}")
}

fn event(kind: EventType, path: &str) -> Heard {
    match kind {
        EventType::NODE_CREATED => Heard::Created(path[1..].into()),
        EventType::NODE_DELETED => Heard::Deleted(path[1..].into()),
        EventType::NODE_CHILDREN_CHANGED => Heard::ListChanged,
        other => panic!("an event that no step causes: {other}"),
    }
}

fn answer(code: ErrorCode) -> Heard {
    match code {
        ErrorCode::OK => Heard::Done,
        ErrorCode::NODE_EXISTS => Heard::Exists,
        ErrorCode::NO_NODE => Heard::NoNode,
        other => panic!("an answer that no step causes: {other}"),
    }
}

/// Tells a story to the core and to the model, and compares everything that can be seen after every step.
fn tell(story: &Story) {
    let (mut world, mut model) = (World::new(story), Model::new(story, 0));
    for step in &story.steps {
        if model.is_out_of_place(step) {
            continue;
        }
        let seen = world.t.ends.len();
        let left = world.perform(step, &model);
        model.now = Span::at(world.t.now.mono.0);
        model.perform(step);
        // The end of a session that its client closes is known to the model.
        if matches!(step, Step::Wait(_) | Step::Expire(_)) {
            world.tell_ends(seen, &mut model);
        }
        model.check_overdue();
        for client in (0..CLIENTS).map(Client) {
            let mut heard = if step.client() == Some(client) { left.clone() } else { Vec::new() };
            heard.extend(world.take_heard(client));
            assert_eq!(in_order(heard), in_order(model.take_heard(client)), "{client} hears, after: {step}");
        }
        world.check(&model);
    }
    if model.held.is_empty() {
        invariants::check(&world.t.core);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("SESSION_STORIES").map_or(10_000, |count| count.parse().unwrap())
    ))]

    #[test]
    fn sessions_do_what_the_model_says(story in stories()) {
        tell(&story);
    }
}
