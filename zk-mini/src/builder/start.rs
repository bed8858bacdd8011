//! Starting a configured server.

use std::net::SocketAddr;
use std::sync::Arc;

use zk_wire::{Millis, Zxid};

use crate::builder::{Builder, Time};
use crate::core::{Config, Core, MAX_SERVERS, MIN_VOTERS, ServerSetup, SessionSecret};
use crate::error::Error;
use crate::report::figures::Configuration;
use crate::server::ZkMini;
use crate::shell::clock::{Clock, zxid_of_this_start};
use crate::shell::engine::{Engine, Setup};
use crate::shell::journal::Journal;
use crate::shell::listener::Listener;
use crate::shell::runtime::Runtime;
use crate::storage::Store;

impl Builder {
    /// Starts the server. When this returns, the server serves.
    ///
    /// The caller's runtime needs no drivers: a server that listens runs on a thread that all servers of the process
    /// share; one that is [`in_memory`](Self::in_memory) runs on the caller's tokio runtime, if there is one. If
    /// tokio's clock is paused at the start, everything runs on the caller's runtime and by that clock.
    ///
    /// # Errors
    /// [`Error`] if the address cannot be listened on, if the settings contradict each other, or if the data
    /// directory cannot be used.
    pub async fn start(mut self) -> Result<ZkMini, Error> {
        let runtime = Runtime::choose(self.has_port())?;
        let secret = self.new_secret()?;
        let clock = match self.time {
            Time::Real => Clock::real(),
            Time::Manual => Clock::manual(),
            Time::Auto => Clock::auto().ok_or(Error::TimeNotPaused)?,
        };
        let repeats = self.seed.is_some() || self.time != Time::Real;
        self.core.seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        self.core.max_multi_read = self.limits.max_multi_read();
        self.core.max_held = self.limits.max_backlog;
        self.core.max_transaction = self.limits.max_transaction();
        self.core.nonce_secret = Some(secret.clone());
        self.check_access()?;
        let (compat, tick) = (self.core.compat, self.core.tick);
        if tick == Millis(0) {
            return Err(Error::ZeroTick);
        }
        let (min, max) = self.core.session_timeout_bounds();
        if min > max {
            return Err(Error::SessionTimeouts { min, max });
        }
        if let (None, Some(dir)) = (&self.data_dir, &self.storage.log_dir) {
            return Err(Error::LogDirAlone { dir: dir.clone() });
        }
        #[cfg(feature = "tls")]
        self.prepare_tls()?;
        let count = self.count()?;
        let (plain, for_tls) =
            (self.addrs(&self.listen, &self.each)?, self.addrs(&self.listen_tls, &self.each_tls)?);
        let listener = match (&plain[..], &for_tls[..]) {
            ([], []) => None,
            (plain, for_tls) => {
                let bound = runtime.with_drivers(|| Listener::bind(plain, for_tls, self.backlog));
                Some(Arc::new(bound?))
            }
        };
        let (listens, listens_tls) = listener.as_ref().map(|listener| listener.firsts()).unwrap_or_default();
        let (mut core, store) = match self.data_dir {
            Some(dir) => {
                let config = Config { digests: true, ..self.core };
                self.storage.new_secret = self.private_sessions.then_some(secret);
                let (core, store) = Store::open(&dir, self.storage, config, clock.now())?;
                (core, Some(store))
            }
            None => {
                let begin_after = if repeats { Zxid(0) } else { zxid_of_this_start() };
                let session_secret = Some(secret);
                (Core::new(Config { transactions: false, begin_after, session_secret, ..self.core }), None)
            }
        };
        if count > 1 {
            let addr = |server| listener.as_ref().and_then(|listener| listener.addr_of(server));
            let setup = |server| ServerSetup {
                addr: addr(server),
                quorum: self.quorum_addrs.get(&(server + 1)).cloned(),
                is_observer: server >= count - self.observers,
            };
            core.form_ensemble(clock.now(), &(0..count).map(setup).collect::<Vec<_>>());
        }
        let configuration = Configuration {
            compat,
            tick,
            session_timeouts: (min, max),
            listens,
            listens_tls,
            backlog: self.backlog,
            max_client_connections: self.limits.max_client_connections,
            server_id: 0,
        };
        let files = store.as_ref().map(Store::files);
        match &listener {
            Some(listener) => log!(INFO, addrs = ?listener.addrs(), "serving"),
            None => log!(INFO, "serving in this process only"),
        }
        if store.is_none() {
            log!(INFO, "in memory: nothing is kept");
        }
        let (configuration, words, http) = (configuration.into(), self.words, self.http);
        let setup = Setup {
            configuration,
            words,
            listener,
            http,
            audit: self.audit,
            #[cfg(feature = "tls")]
            tls: self.tls,
            files,
        };
        let journal = store.as_ref().map(|_| Journal::default());
        let engine = Arc::new(Engine::new(core, journal, setup, clock, self.limits, runtime));
        // No connection is accepted before the server runs. Nothing becomes durable before, either.
        #[cfg(feature = "tree-files")]
        let loaded = self.tree.map(|tree| tree.write_first(&engine)).transpose()?.flatten();
        let zk = ZkMini::run(engine, store, self.prints_history);
        #[cfg(feature = "tree-files")]
        if let Some(loaded) = loaded {
            loaded.until_durable(&zk).await?;
        }
        Ok(zk)
    }

    /// Returns true if the server listens on a port.
    fn has_port(&self) -> bool {
        let each = self.each.iter().chain(&self.each_tls);
        [&self.listen, &self.listen_tls].into_iter().chain(each).any(|addrs| !addrs.is_empty())
    }

    /// Returns the number of servers, with observers.
    pub(super) fn count(&self) -> Result<usize, Error> {
        let further = if self.counts_observers { 0 } else { self.observers };
        let count = self.servers.saturating_add(further);
        if !(1..=MAX_SERVERS).contains(&count) {
            return Err(Error::ServerCount { count, max: MAX_SERVERS });
        }
        if self.observers > 0 && count.saturating_sub(self.observers) < MIN_VOTERS {
            return Err(Error::Observers {
                observers: self.observers,
                others: count.saturating_sub(self.observers),
            });
        }
        match self.quorum_addrs.keys().find(|server| !(1..=count).contains(*server)) {
            Some(&server) => Err(Error::QuorumAddr { server, count }),
            None => Ok(count),
        }
    }

    /// Returns the addresses of each server, from those of the first one unless they are given for each; none for servers in
    /// memory.
    fn addrs(&self, first: &[SocketAddr], each: &[Vec<SocketAddr>]) -> Result<Vec<Vec<SocketAddr>>, Error> {
        let count = self.count()?;
        if first.is_empty() || !each.is_empty() {
            return Ok(each.to_vec());
        }
        let of_server = |server: u16| {
            let next = |addr: &SocketAddr| {
                // Port 0 is a free one, for each server.
                let port = if addr.port() == 0 { Some(0) } else { addr.port().checked_add(server) };
                let port = port.ok_or(Error::NoPortsLeft { first: *addr, count })?;
                Ok(SocketAddr::new(addr.ip(), port))
            };
            first.iter().map(next).collect()
        };
        (0..).take(count).map(of_server).collect()
    }

    /// Makes a secret: from the seed if there is one, otherwise from random bytes.
    fn new_secret(&self) -> Result<SessionSecret, Error> {
        if let Some(seed) = self.seed {
            return Ok(SessionSecret::from_seed(seed));
        }
        let mut bytes = [0; SessionSecret::LEN];
        getrandom::fill(&mut bytes).map_err(|error| Error::NoRandomness(error.into()))?;
        Ok(SessionSecret::new(bytes))
    }
}
