//! Figures by the names that ZooKeeper gives them, for monitoring. All names of the real server are there; figures of mechanisms
//! that this server lacks are those of a fresh server.

use crate::core::{Compat, Totals};
use crate::report::figures::{
    Configuration, DescriptorFigures, EnsembleFigures, Environment, Figures, LeaderFigures, NamespaceFigures,
};
use crate::report::stats::Latency;

/// Figure by ZooKeeper's name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NamedFigure<'a> {
    /// Name, without a prefix.
    pub name: &'static str,
    /// Child of the root that it is about, if it is about one.
    pub namespace: Option<&'a str>,
    /// Value.
    pub value: FigureValue,
}

/// Value of a figure, of the kind that ZooKeeper gives it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FigureValue {
    /// A number that may fall.
    Gauge(i64),
    /// A decimal number that may fall.
    Decimal(f64),
    /// A number that only grows, until a reset.
    Counter(u64),
    /// Number, sum and extremes of values.
    Summary(Totals),
    /// The same, with percentiles.
    Spread(Box<Latency>),
}

impl Figures {
    /// Returns the figures that ZooKeeper shows to monitors, in the order of `mntr`.
    #[must_use]
    pub fn named(&self, descriptors: DescriptorFigures) -> Vec<NamedFigure<'_>> {
        let mut all = List(Vec::with_capacity(200));
        self.put_gauges(&mut all, descriptors);
        let newer = self.configuration.compat == Compat::V3_9;
        for name in GAUGES {
            all.put(name, FigureValue::Gauge(0));
        }
        for name in COUNTERS.iter().chain(NEW_COUNTERS.iter().filter(|_| newer)) {
            all.put(name, FigureValue::Counter(self.counter(name)));
        }
        for name in SUMMARIES.iter().chain(NEW_SUMMARIES.iter().filter(|_| newer)) {
            all.put(name, FigureValue::Summary(self.summary(name)));
        }
        for NamespaceFigures { name, read, .. } in &self.namespaces {
            all.put_namespace("read_per_namespace", name, *read);
        }
        for NamespaceFigures { name, written, .. } in &self.namespaces {
            all.put_namespace("write_per_namespace", name, *written);
        }
        for name in SPREADS {
            all.put(name, FigureValue::Spread(Box::new(self.spread(name))));
        }
        all.0
    }

    fn put_gauges<'a>(&'a self, all: &mut List<'a>, descriptors: DescriptorFigures) {
        let server = &self.server;
        let latency = server.stats.latency().totals;
        let lengths = server.stats.frame_lengths;
        let length = |length: Option<usize>| length.map_or(-1, signed);
        all.gauge("ephemerals_count", server.ephemeral_nodes);
        all.gauge("num_alive_connections", server.connections);
        all.put("avg_latency", FigureValue::Decimal(latency.mean()));
        // Requests are answered as they are read: none waits.
        all.gauge("outstanding_requests", 0_u32);
        all.gauge("znode_count", server.nodes_in_zookeeper());
        all.gauge("global_sessions", server.sessions);
        all.gauge("local_sessions", server.local_sessions);
        all.gauge("packets_sent", server.stats.sent);
        all.gauge("packets_received", server.stats.received);
        all.put("connection_drop_probability", FigureValue::Decimal(server.drop_chance));
        all.gauge("watch_count", server.watches);
        all.gauge("min_latency", latency.min);
        all.gauge("max_latency", latency.max);
        all.gauge("max_file_descriptor_count", descriptors.max);
        all.gauge("open_file_descriptor_count", descriptors.open);
        all.gauge("approximate_data_size", server.data_bytes);
        all.gauge("uptime", server.uptime.0);
        all.gauge("last_client_response_size", length(lengths.map(|lengths| lengths.last)));
        all.gauge("min_client_response_size", length(lengths.map(|lengths| lengths.min)));
        all.gauge("max_client_response_size", length(lengths.map(|lengths| lengths.max)));
        if let Some(ensemble) = server.ensemble {
            put_ensemble(all, ensemble);
        }
    }

    fn counter(&self, name: &str) -> u64 {
        let stats = &self.server.stats;
        match name {
            "bytes_received_count" => stats.bytes_received,
            "connection_drop_count" => stats.dropped,
            "connection_rejected" => stats.rejected,
            "connection_request_count" => stats.handshakes,
            "connection_revalidate_count" => stats.revalidations,
            "response_bytes" => stats.reply_bytes,
            "sessionless_connections_expired" => stats.sessionless_expired,
            "stale_sessions_expired" => stats.sessions_expired,
            "watch_bytes" => stats.event_bytes,
            _ => 0,
        }
    }

    fn summary(&self, name: &str) -> Totals {
        let told = &self.server.watchers_told;
        match name {
            "node_changed_watch_count" => told.data_changed,
            "node_children_watch_count" => told.children_changed,
            "node_created_watch_count" => told.created,
            "node_deleted_watch_count" => told.deleted,
            _ => Totals::default(),
        }
    }

    fn spread(&self, name: &str) -> Latency {
        match name {
            "readlatency" => self.server.stats.reads.clone(),
            "updatelatency" => self.server.stats.updates.clone(),
            _ => Latency::default(),
        }
    }
}

impl Environment {
    /// Text in place of a value that is not known.
    pub const NOT_KNOWN: &'static str = "<NA>";

    /// Returns the properties that ZooKeeper shows, in the order of `envi`; `None` for those that are not known, such as all about
    /// Java.
    #[must_use]
    pub fn named(&self, configuration: &Configuration) -> Vec<(&'static str, Option<String>)> {
        let megabytes = |kibibytes: Option<u64>| Some(format!("{}MB", kibibytes? / 1024));
        let total = megabytes(self.memory_total);
        vec![
            ("zookeeper.version", Some(configuration.version())),
            ("host.name", self.host_name.clone()),
            ("java.version", None),
            ("java.vendor", None),
            ("java.home", None),
            ("java.class.path", None),
            ("java.library.path", None),
            ("java.io.tmpdir", Some(self.temp_dir.display().to_string())),
            ("java.compiler", None),
            ("os.name", Some(self.os_name.into())),
            ("os.arch", Some(self.os_arch.into())),
            ("os.version", self.os_version.clone()),
            ("user.name", self.user.clone()),
            ("user.home", self.home.clone()),
            ("user.dir", self.current_dir.as_ref().map(|dir| dir.display().to_string())),
            ("os.memory.free", megabytes(self.memory_available)),
            ("os.memory.max", total.clone()),
            ("os.memory.total", total),
        ]
    }
}

/// Adds the gauges of a member of an ensemble.
fn put_ensemble(all: &mut List<'_>, EnsembleFigures { voters, leader }: EnsembleFigures) {
    all.gauge("quorum_size", voters);
    let Some(LeaderFigures { uptime, followers, non_voting, observers, proposals }) = leader else { return };
    let size = |size: Option<usize>| size.map_or(-1, signed);
    all.gauge("learners", followers + observers);
    all.gauge("synced_followers", followers);
    all.gauge("synced_non_voting_followers", non_voting);
    all.gauge("synced_observers", observers);
    // A sync is answered as it is read.
    all.gauge("pending_syncs", 0_u32);
    all.gauge("leader_uptime", uptime.0);
    all.gauge("last_proposal_size", size(proposals.map(|sizes| sizes.last)));
    all.gauge("min_proposal_size", size(proposals.map(|sizes| sizes.min)));
    all.gauge("max_proposal_size", size(proposals.map(|sizes| sizes.max)));
}

struct List<'a>(Vec<NamedFigure<'a>>);

impl<'a> List<'a> {
    fn put(&mut self, name: &'static str, value: FigureValue) {
        self.0.push(NamedFigure { name, namespace: None, value });
    }

    fn gauge(&mut self, name: &'static str, number: impl TryInto<i64>) {
        self.put(name, FigureValue::Gauge(signed(number)));
    }

    /// Adds the figures of a namespace that was read or written, as the real server does.
    fn put_namespace(&mut self, name: &'static str, namespace: &'a str, totals: Option<Totals>) {
        if let Some(totals) = totals {
            let value = FigureValue::Summary(totals);
            self.0.push(NamedFigure { name, namespace: Some(namespace), value });
        }
    }
}

fn signed(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Gauges of mechanisms that this server lacks.
const GAUGES: &[&str] = &[
    "auth_failed_count",
    "non_mtls_local_conn_count",
    "non_mtls_remote_conn_count",
    "outstanding_tls_handshake",
];

/// Counters.
const COUNTERS: &[&str] = &[
    "add_dead_watcher_stall_time",
    "bytes_received_count",
    "cnxn_closed_without_zk_server_running",
    "commit_count",
    "connection_drop_count",
    "connection_rejected",
    "connection_request_count",
    "connection_revalidate_count",
    "dead_watchers_cleared",
    "dead_watchers_queued",
    "diff_count",
    "digest_mismatches_count",
    "ensemble_auth_fail",
    "ensemble_auth_skip",
    "ensemble_auth_success",
    "insecure_admin_count",
    "large_requests_rejected",
    "learner_commit_received_count",
    "learner_proposal_received_count",
    "looking_count",
    "outstanding_changes_queued",
    "outstanding_changes_removed",
    "prep_processor_request_queued",
    "proposal_count",
    "quit_leading_due_to_disloyal_voter",
    "request_commit_queued",
    "request_throttle_wait_count",
    "requests_not_forwarded_to_commit_processor",
    "response_bytes",
    "response_packet_cache_hits",
    "response_packet_cache_misses",
    "response_packet_get_children_cache_hits",
    "response_packet_get_children_cache_misses",
    "revalidate_count",
    "sessionless_connections_expired",
    "skip_learner_request_to_next_processor_count",
    "snap_count",
    "stale_replies",
    "stale_requests",
    "stale_requests_dropped",
    "stale_sessions_expired",
    "sync_processor_request_queued",
    "throttled_ops",
    "tls_handshake_exceeded",
    "unrecoverable_error_count",
    "unsuccessful_handshake",
    "watch_bytes",
];

/// More of them, of 3.9.
const NEW_COUNTERS: &[&str] = &[
    "restore_error_count",
    "restore_rate_limited_count",
    "snapshot_error_count",
    "snapshot_rate_limited_count",
];

/// Names with mean, extremes, number and sum each.
const SUMMARIES: &[&str] = &[
    "commit_commit_proc_req_queued",
    "commit_process_time",
    "concurrent_request_processing_in_commit_processor",
    "connection_token_deficit",
    "dbinittime",
    "election_time",
    "follower_sync_time",
    "fsynctime",
    "inflight_diff_count",
    "inflight_snap_count",
    "leader_unavailable_time",
    "learner_request_processor_queue_size",
    "netty_queued_buffer_capacity",
    "node_changed_watch_count",
    "node_children_watch_count",
    "node_created_watch_count",
    "node_deleted_watch_count",
    "observer_sync_time",
    "pending_session_queue_size",
    "prep_process_time",
    "prep_processor_queue_size",
    "proposal_process_time",
    "read_commit_proc_issued",
    "read_commit_proc_req_queued",
    "reads_after_write_in_session_queue",
    "reads_issued_from_session_queue",
    "requests_in_session_queue",
    "session_queues_drained",
    "snapshottime",
    "socket_closing_time",
    "startup_snap_load_time",
    "startup_txns_load_time",
    "startup_txns_loaded",
    "sync_process_time",
    "sync_processor_batch_size",
    "sync_processor_queue_size",
    "time_waiting_empty_pool_in_commit_processor_read_ms",
    "unavailable_time",
    "write_batch_time_in_commit_processor",
    "write_commit_proc_issued",
    "write_commit_proc_req_queued",
];

/// More of them, of 3.9.
const NEW_SUMMARIES: &[&str] = &["restore_time"];

/// Names with the same and percentiles each.
const SPREADS: &[&str] = &[
    "close_session_prep_time",
    "commit_propagation_latency",
    "dead_watchers_cleaner_latency",
    "jvm_pause_time_ms",
    "local_write_committed_time_ms",
    "om_commit_process_time_ms",
    "om_proposal_process_time_ms",
    "prep_processor_queue_time_ms",
    "propagation_latency",
    "proposal_ack_creation_latency",
    "proposal_latency",
    "quorum_ack_latency",
    "read_commitproc_time_ms",
    "read_final_proc_time_ms",
    "readlatency",
    "request_throttle_queue_time_ms",
    "server_write_committed_time_ms",
    "sync_processor_queue_and_flush_time_ms",
    "sync_processor_queue_flush_time_ms",
    "sync_processor_queue_time_ms",
    "updatelatency",
    "write_commitproc_time_ms",
    "write_final_proc_time_ms",
];
