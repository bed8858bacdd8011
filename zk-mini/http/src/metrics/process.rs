//! Figures of the process, which Linux has in `/proc`; other systems have none.

use prometheus::proto::MetricFamily;

#[cfg(target_os = "linux")]
pub(super) fn families() -> Vec<MetricFamily> {
    use prometheus::core::Collector;
    use prometheus::process_collector::ProcessCollector;

    ProcessCollector::for_self().collect()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn families() -> Vec<MetricFamily> {
    Vec::new()
}
