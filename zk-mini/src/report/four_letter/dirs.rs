//! `dirs`: the size of the data directory.

use crate::report::figures::DiskFigures;

pub(crate) fn answer(disk: &DiskFigures) -> String {
    format!("datadir_size: {}\nlogdir_size: {}\n", disk.data.1, disk.logs.1)
}
