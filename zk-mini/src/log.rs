//! Log lines of the library, through `tracing`.

/// Logs an event of this level; the rest is as for `tracing::event!`. Costs next to nothing without a subscriber. A panic of
/// the subscriber, which is the user's code, goes no further.
macro_rules! log {
    ($level:ident, $($event:tt)*) => {
        if $crate::log::is_wanted(tracing::Level::$level) {
            ::common::log::quietly(|| tracing::event!(tracing::Level::$level, $($event)*));
        }
    };
}

/// Returns true if a subscriber may want events of this level.
pub(crate) fn is_wanted(level: tracing::Level) -> bool {
    level <= tracing::level_filters::LevelFilter::current()
}
