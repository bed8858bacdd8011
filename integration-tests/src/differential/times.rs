//! Times of transactions, as one server tells them during a script.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Times in milliseconds by zxid.
///
/// What one server's clock says cannot be compared with what another's says. But on each server a transaction has one time,
/// and none is before that of an earlier transaction.
#[derive(Debug, Default)]
pub(crate) struct Times(RefCell<BTreeMap<i64, i64>>);

impl Times {
    /// Returns true if a transaction can have this time, after all that was told before. Then it is kept.
    pub(crate) fn fits(&self, zxid: i64, time: i64) -> bool {
        let mut known = self.0.borrow_mut();
        let earlier = known.range(..zxid).next_back();
        let later = known.range(zxid..).next();
        let fits = earlier.is_none_or(|(_, earlier)| *earlier <= time)
            && later.is_none_or(|(at, later)| if *at == zxid { *later == time } else { time <= *later });
        if fits {
            known.insert(zxid, time);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_has_one_time_between_those_of_its_neighbours() {
        let times = Times::default();
        assert!(times.fits(5, 1000));
        assert!(times.fits(5, 1000) && !times.fits(5, 1001) && !times.fits(5, 999));
        assert!(times.fits(9, 1020));
        assert!(!times.fits(7, 999) && !times.fits(7, 1021) && times.fits(7, 1020));
        assert!(!times.fits(4, 1001) && times.fits(4, 1000));
        assert!(!times.fits(10, 1019) && times.fits(10, 1020));
    }
}
