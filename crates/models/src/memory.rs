//! How much memory the process has held.

/// The most memory that this process has had resident so far, in bytes. `None` where the system does not tell
/// through a file (only Linux does).
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_plausible_where_it_is_known() {
        if let Some(bytes) = peak_memory_bytes() {
            assert!(bytes > 1 << 20);
        }
    }
}
