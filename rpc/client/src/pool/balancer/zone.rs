//! The share of the calls that stay in the client's zone.

/// Capacity that a zone has beyond its need, in percent of the need: below this part of health calls go elsewhere.
const RESERVE_PERCENT: u64 = 140;

/// Whole of the calls, as [`near_share`] counts them.
pub(crate) const ALL: u32 = 1 << 16;

/// Returns the share of the calls that stay in the zone of the client, of [`ALL`]: all while at least five of seven of its
/// weight are healthy, and then in proportion (the rule of Envoy's priority levels).
///
/// `healthy` is the weight of its links that take calls, `wanted` that of all its instances in the registry; `elsewhere` is
/// the healthy weight in other zones.
pub(crate) fn near_share(healthy: u64, wanted: u64, elsewhere: u64) -> u32 {
    if elsewhere == 0 {
        return ALL;
    }
    if healthy == 0 {
        return 0;
    }
    let share = u128::from(healthy) * u128::from(RESERVE_PERCENT) * u128::from(ALL)
        / 100
        / u128::from(wanted.max(healthy));
    u32::try_from(share).map_or(ALL, |share| share.min(ALL))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_zone_keeps_its_calls_while_it_is_well_and_gives_them_up_in_proportion() {
        let percent = |healthy, wanted, elsewhere| near_share(healthy, wanted, elsewhere) * 100 / ALL;
        assert_eq!([4, 3, 2, 1, 0].map(|healthy| percent(healthy, 4, 4)), [100, 100, 69, 34, 0]);
        assert_eq!(percent(1, 4, 0), 100, "there is nobody else");
        assert_eq!(percent(0, 0, 4), 0, "nobody is near");
    }

    proptest! {
        #[test]
        fn more_health_never_means_fewer_calls(healthy: u32, more: u32, wanted: u32, elsewhere: u32) {
            let share = |healthy: u64| near_share(healthy, wanted.into(), elsewhere.into());
            let (less, more) = (share(healthy.into()), share(u64::from(healthy) + u64::from(more)));
            prop_assert!(less <= more && more <= ALL);
        }
    }
}
