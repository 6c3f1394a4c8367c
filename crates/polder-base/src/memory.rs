//! How much memory this machine has, and how much of it is free.

use std::fs;
use std::path::Path;

/// Memory of this machine, read without any privilege.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All of it, in bytes; 0 when unknown.
    pub total_bytes: u64,
    /// What is free for use, no more than what the process's control group allows, in bytes; 0 when unknown.
    pub free_bytes: u64,
}

impl Memory {
    /// Looks at this machine.
    pub fn look() -> Self {
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let bytes = |key: &str| {
            let line = text.lines().find(|l| l.starts_with(key))?;
            Some(1024 * line.split_whitespace().nth(1)?.parse::<u64>().ok()?)
        };
        Self {
            total_bytes: bytes("MemTotal:").unwrap_or(0),
            free_bytes: free(bytes("MemAvailable:").unwrap_or(0), Path::new("/sys/fs/cgroup")),
        }
    }
}

/// What is free on the machine, and no more than what its control group still allows.
fn free(machine_bytes: u64, group: &Path) -> u64 {
    let number = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    // Without a limit the file says `max`.
    let Some((limit, used)) = number("memory.max").zip(number("memory.current")) else { return machine_bytes };
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cached = stat.lines().find_map(|l| l.strip_prefix("inactive_file ")?.trim().parse().ok()).unwrap_or(0);
    let allowed = limit.saturating_sub(used.saturating_sub(cached));
    if machine_bytes == 0 { allowed } else { machine_bytes.min(allowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_groups_limit_bounds_the_free_memory() {
        let dir = tempfile::tempdir().expect("folder");
        assert_eq!(free(1000, dir.path()), 1000);
        fs::write(dir.path().join("memory.max"), "max\n").expect("write");
        fs::write(dir.path().join("memory.current"), "300\n").expect("write");
        assert_eq!(free(1000, dir.path()), 1000);
        fs::write(dir.path().join("memory.max"), "800\n").expect("write");
        assert_eq!(free(1000, dir.path()), 500);
        fs::write(dir.path().join("memory.stat"), "anon 200\ninactive_file 100\n").expect("write");
        assert_eq!((free(1000, dir.path()), free(550, dir.path())), (600, 550));
    }
}
