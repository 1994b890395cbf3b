//! How much memory the process has held, and how long it has computed.

use std::time::Duration;

/// The most memory that this process has had resident so far, in bytes. `None` where the system does not tell
/// through a file (only Linux does).
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// What the process has computed so far on all its threads together, to a hundredth of a second. `None` where the
/// system does not tell through a file (only Linux does).
///
/// Beside other work this says what a thing costs, where the time on the wall says who else was there.
pub fn cpu_time() -> Option<Duration> {
    /// In which Linux counts for programs, whatever it counts in itself.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in the second field may hold blanks; it ends with the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computing_takes_time() {
        let Some(before) = cpu_time() else { return };
        let mut number = 1_u64;
        while cpu_time().is_some_and(|now| now < before + Duration::from_millis(20)) {
            number = number.wrapping_mul(31) ^ number >> 7;
        }
        assert!(number != 0 && cpu_time() > Some(before));
    }

    #[test]
    fn memory_is_plausible_where_it_is_known() {
        if let Some(bytes) = peak_memory_bytes() {
            assert!(bytes > 1 << 20);
        }
    }
}
