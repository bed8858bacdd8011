//! Commands about the server.

use axum::response::Response;
use serde::Serialize;
use zk_mini::Handle;
use zk_mini::figures::{Environment, FigureValue, Figures, Latency, Mode, NamedFigure, Totals};

use super::ensemble;
use super::reply::{self, Fields};

/// Lengths of replies, or of proposals; -1 if there were none.
#[derive(Clone, Copy, Serialize)]
struct BufferSizes {
    last_buffer_size: i64,
    min_buffer_size: i64,
    max_buffer_size: i64,
}

impl BufferSizes {
    fn of(sizes: Option<[usize; 3]>) -> Self {
        let sizes = sizes.map(|sizes| sizes.map(|size| i64::try_from(size).unwrap_or(i64::MAX)));
        let [last_buffer_size, min_buffer_size, max_buffer_size] = sizes.unwrap_or([-1; 3]);
        Self { last_buffer_size, min_buffer_size, max_buffer_size }
    }
}

#[derive(Serialize)]
struct ServerStats {
    packets_sent: u64,
    packets_received: u64,
    fsync_threshold_exceed_count: u32,
    client_response_stats: BufferSizes,
    data_dir_size: u64,
    log_dir_size: u64,
    provider_null: bool,
    last_processed_zxid: i64,
    outstanding_requests: u32,
    server_state: &'static str,
    avg_latency: f64,
    max_latency: u64,
    min_latency: u64,
    num_alive_client_connections: usize,
    uptime: u64,
    auth_failed_count: u32,
    non_mtlsremote_conn_count: u32,
    non_mtlslocal_conn_count: u32,
}

#[derive(Serialize)]
pub(super) struct Stats {
    version: String,
    read_only: bool,
    server_stats: ServerStats,
    client_response: BufferSizes,
    /// Only of a leader.
    #[serde(skip_serializing_if = "Option::is_none")]
    proposal_stats: Option<BufferSizes>,
    node_count: usize,
}

/// Returns the figures of `server_stats`.
pub(super) fn stats(server: &Handle) -> Stats {
    let (figures, disk) = (server.figures(), server.disk_figures());
    let stats = &figures.server.stats;
    let latency = stats.latency().totals;
    let lengths = stats.frame_lengths.map(|lengths| [lengths.last, lengths.min, lengths.max]);
    let client_response = BufferSizes::of(lengths);
    let leader = figures.server.ensemble.and_then(|ensemble| ensemble.leader);
    Stats {
        version: figures.configuration.version(),
        read_only: figures.server.mode == Mode::ReadOnly,
        server_stats: ServerStats {
            packets_sent: stats.sent,
            packets_received: stats.received,
            fsync_threshold_exceed_count: 0,
            client_response_stats: client_response,
            data_dir_size: disk.data.1,
            log_dir_size: disk.logs.1,
            provider_null: false,
            last_processed_zxid: figures.server.last_zxid.0,
            outstanding_requests: 0,
            server_state: figures.server.mode.name(),
            avg_latency: latency.mean(),
            max_latency: latency.max,
            min_latency: latency.min,
            num_alive_client_connections: figures.server.connections,
            uptime: figures.server.uptime.0,
            auth_failed_count: 0,
            non_mtlsremote_conn_count: 0,
            non_mtlslocal_conn_count: 0,
        },
        client_response,
        proposal_stats: leader
            .map(|leader| BufferSizes::of(leader.proposals.map(|sizes| [sizes.last, sizes.min, sizes.max]))),
        node_count: figures.server.nodes_in_zookeeper(),
    }
}

pub(super) fn configuration(command: &str, server: &Handle) -> Response {
    #[derive(Serialize)]
    struct Configuration {
        client_port: i32,
        data_dir: String,
        data_log_dir: String,
        tick_time: u64,
        max_client_cnxns: i32,
        min_session_timeout: u64,
        max_session_timeout: u64,
        server_id: usize,
        client_port_listen_backlog: i32,
    }
    let (config, disk) = (server.figures().configuration, server.disk_figures());
    let (min, max) = config.session_timeouts;
    let fields = Configuration {
        client_port: ensemble::listens(server, config.listens).map_or(-1, |addr| i32::from(addr.port())),
        data_dir: disk.data.0.display().to_string(),
        data_log_dir: disk.logs.0.display().to_string(),
        tick_time: config.tick.0,
        max_client_cnxns: config.max_client_connections,
        min_session_timeout: min.0,
        max_session_timeout: max.0,
        server_id: ensemble::number(server),
        client_port_listen_backlog: config.backlog,
    };
    reply::fields(command, fields)
}

/// Answers with the configuration as lines of a `zoo.cfg`: those that the server was given, or could have been. A member of an
/// ensemble has none, as that of Apache.
pub(super) fn initial_configuration(command: &str, server: &Handle) -> Response {
    if !server.servers().is_empty() {
        let mut fields = Fields::default();
        fields.put("initial_configuration", serde_json::Value::Null);
        return reply::fields(command, fields);
    }
    let (config, disk) = (server.figures().configuration, server.disk_figures());
    let (min, max) = config.session_timeouts;
    let mut text = format!("tickTime={}\n", config.tick.0);
    let outer = |inner: &std::path::Path| inner.parent().unwrap_or(inner).display().to_string();
    if disk.data.1 > 0 {
        text += &format!("dataDir={}\n", outer(&disk.data.0));
        if disk.logs.0 != disk.data.0 {
            text += &format!("dataLogDir={}\n", outer(&disk.logs.0));
        }
    }
    if let Some(addr) = config.listens {
        text += &format!("clientPortAddress={}\nclientPort={}\n", addr.ip(), addr.port());
    }
    text += &format!("maxClientCnxns={}\n", config.max_client_connections);
    text += &format!("minSessionTimeout={}\nmaxSessionTimeout={}\n", min.0, max.0);
    let mut fields = Fields::default();
    fields.put("initial_configuration", text);
    reply::fields(command, fields)
}

pub(super) fn dirs(command: &str, server: &Handle) -> Response {
    let disk = server.disk_figures();
    let mut fields = Fields::default();
    fields.put("datadir_size", disk.data.1);
    fields.put("logdir_size", disk.logs.1);
    reply::fields(command, fields)
}

pub(super) fn last_snapshot(command: &str, server: &Handle) -> Response {
    let (zxid, timestamp) =
        server.disk_figures().last_snapshot.map_or((-1, -1), |(zxid, written)| (zxid.0, written.0 / 1_000));
    let mut fields = Fields::default();
    fields.put("zxid", format!("{zxid:x}"));
    fields.put("timestamp", timestamp);
    reply::fields(command, fields)
}

pub(super) fn environment(command: &str, server: &Handle) -> Response {
    let mut fields = Fields::default();
    for (name, value) in server.environment().named(&server.figures().configuration) {
        fields.put(name, value.unwrap_or_else(|| Environment::NOT_KNOWN.into()));
    }
    reply::fields(command, fields)
}

/// Answers with the properties of a Java system that say something here.
pub(super) fn system_properties(command: &str, server: &Handle) -> Response {
    let named = server.environment().named(&server.figures().configuration);
    let is_property =
        |name: &str| !matches!(name, "zookeeper.version" | "host.name") && !name.starts_with("os.memory");
    let known = named.into_iter().filter(|(name, _)| is_property(name));
    let mut known: Vec<_> = known.filter_map(|(name, value)| Some((name, value?))).collect();
    known.extend([("file.separator", "/".to_owned()), ("line.separator", "\n".to_owned())]);
    known.sort_unstable();
    let mut fields = Fields::default();
    known.into_iter().for_each(|(name, value)| fields.put(name, value));
    reply::fields(command, fields)
}

/// Answers with the figures of `mntr`.
pub(super) fn monitor(command: &str, server: &Handle) -> Response {
    let descriptors = server.descriptor_figures();
    reply::fields(command, monitored(&server.figures(), descriptors))
}

fn monitored(figures: &Figures, descriptors: zk_mini::figures::DescriptorFigures) -> Fields {
    let mut fields = Fields::default();
    fields.put("version", figures.configuration.version());
    fields.put("server_state", figures.server.mode.name());
    if let Some(state) = figures.server.mode.peer_state() {
        fields.put("peer_state", state);
    }
    for NamedFigure { name, namespace, value, .. } in figures.named(descriptors) {
        let name = namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}_{name}"));
        match value {
            FigureValue::Gauge(number) => fields.put(name, number),
            FigureValue::Decimal(number) => fields.put(name, number),
            FigureValue::Counter(number) => fields.put(name, number),
            FigureValue::Summary(totals) => put_totals(&mut fields, &name, totals),
            FigureValue::Spread(latency) => put_latency(&mut fields, &name, &latency),
            _ => {}
        }
    }
    fields
}

fn put_totals(fields: &mut Fields, name: &str, totals: Totals) {
    fields.put(format!("avg_{name}"), totals.mean());
    fields.put(format!("min_{name}"), totals.min);
    fields.put(format!("max_{name}"), totals.max);
    fields.put(format!("cnt_{name}"), totals.count);
    fields.put(format!("sum_{name}"), totals.sum);
}

fn put_latency(fields: &mut Fields, name: &str, latency: &Latency) {
    put_totals(fields, name, latency.totals);
    for (percentile, thousandths) in [("p50", 500), ("p95", 950), ("p99", 990), ("p999", 999)] {
        fields.put(format!("{percentile}_{name}"), latency.percentile(thousandths));
    }
}
