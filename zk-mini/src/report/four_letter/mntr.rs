//! `mntr`: figures for monitoring, a name and a value to a line. All names of the real server are there; figures of
//! mechanisms that this server lacks are those of a fresh server.

use std::fmt::{self, Display, Write};

use crate::core::{Compat, Totals, WatchersTold};
use crate::report::figures::{Configuration, DescriptorFigures, NamespaceFigures, ServerFigures};
use crate::report::stats::{FrameLengths, Latency, ServerStats};

pub(crate) fn answer(
    config: &Configuration,
    figures: &ServerFigures,
    namespaces: &[NamespaceFigures],
    descriptors: DescriptorFigures,
) -> String {
    let stats = &figures.stats;
    let mut out = Lines(String::new());
    let latency = stats.latency().totals;
    out.put("version", &config.version());
    out.put("server_state", &"standalone");
    out.put("ephemerals_count", &figures.ephemeral_nodes);
    out.put("num_alive_connections", &figures.connections);
    out.put("avg_latency", &Decimal(latency.mean()));
    // Requests are answered as they are read: none waits.
    out.put("outstanding_requests", &0);
    out.put("znode_count", &figures.nodes_in_zookeeper());
    out.put("global_sessions", &figures.sessions);
    out.put("local_sessions", &0);
    out.put("packets_sent", &stats.sent);
    out.put("packets_received", &stats.received);
    out.put("connection_drop_probability", &Decimal(0.0));
    out.put("watch_count", &figures.watches);
    out.put("min_latency", &latency.min);
    out.put("max_latency", &latency.max);
    out.put("max_file_descriptor_count", &descriptors.max);
    out.put("open_file_descriptor_count", &descriptors.open);
    out.put("approximate_data_size", &figures.data_bytes);
    out.put("uptime", &figures.uptime.0);
    put_frame_lengths(&mut out, stats.frame_lengths);
    let newer = config.compat == Compat::V3_9;
    for name in COUNTERS.iter().chain(NEW_COUNTERS.iter().filter(|_| newer)) {
        out.put(name, &counter(stats, name));
    }
    for name in SUMMARIES.iter().chain(NEW_SUMMARIES.iter().filter(|_| newer)) {
        out.put_totals(name, &summary(&figures.watchers_told, name));
    }
    put_namespaces(&mut out, namespaces);
    let none = Latency::default();
    for name in SPREADS {
        out.put_latency(name, spread(stats, name).unwrap_or(&none));
    }
    out.0
}

fn counter(stats: &ServerStats, name: &str) -> u64 {
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

fn summary(told: &WatchersTold, name: &str) -> Totals {
    match name {
        "node_changed_watch_count" => told.data_changed,
        "node_children_watch_count" => told.children_changed,
        "node_created_watch_count" => told.created,
        "node_deleted_watch_count" => told.deleted,
        _ => Totals::default(),
    }
}

/// Writes the namespaces that were read or written, as the real server does.
fn put_namespaces(out: &mut Lines, namespaces: &[NamespaceFigures]) {
    for NamespaceFigures { name, read, .. } in namespaces {
        if let Some(totals) = read {
            out.put_totals(&format!("{name}_read_per_namespace"), totals);
        }
    }
    for NamespaceFigures { name, written, .. } in namespaces {
        if let Some(totals) = written {
            out.put_totals(&format!("{name}_write_per_namespace"), totals);
        }
    }
}

fn spread<'a>(stats: &'a ServerStats, name: &str) -> Option<&'a Latency> {
    match name {
        "readlatency" => Some(&stats.reads),
        "updatelatency" => Some(&stats.updates),
        _ => None,
    }
}

fn put_frame_lengths(out: &mut Lines, lengths: Option<FrameLengths>) {
    let mut put = |name, length: Option<usize>| match length {
        Some(length) => out.put(name, &length),
        None => out.put(name, &-1),
    };
    put("last_client_response_size", lengths.map(|lengths| lengths.last));
    put("min_client_response_size", lengths.map(|lengths| lengths.min));
    put("max_client_response_size", lengths.map(|lengths| lengths.max));
}

/// A number as Java prints a `double`.
struct Decimal(f64);

impl Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

struct Lines(String);

impl Lines {
    fn put(&mut self, name: &str, value: &dyn Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "zk_{name}\t{value}");
    }

    fn put_totals(&mut self, name: &str, totals: &Totals) {
        self.put(&format!("avg_{name}"), &Decimal(totals.mean()));
        self.put(&format!("min_{name}"), &totals.min);
        self.put(&format!("max_{name}"), &totals.max);
        self.put(&format!("cnt_{name}"), &totals.count);
        self.put(&format!("sum_{name}"), &totals.sum);
    }

    fn put_latency(&mut self, name: &str, latency: &Latency) {
        self.put_totals(name, &latency.totals);
        for (percentile, thousandths) in [("p50", 500), ("p95", 950), ("p99", 990), ("p999", 999)] {
            self.put(&format!("{percentile}_{name}"), &latency.percentile(thousandths));
        }
    }
}

/// Names with one number each.
const COUNTERS: &[&str] = &[
    "add_dead_watcher_stall_time",
    "auth_failed_count",
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
    "non_mtls_local_conn_count",
    "non_mtls_remote_conn_count",
    "outstanding_changes_queued",
    "outstanding_changes_removed",
    "outstanding_tls_handshake",
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
