//! What this machine has.

use std::fs;
use std::path::Path;

/// Processor, memory and threads, read without any privilege.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Threads that this process may use.
    pub threads: usize,
    /// Memory in bytes; 0 when unknown.
    pub memory_bytes: u64,
    /// Memory free for use, in bytes; 0 when unknown.
    pub memory_available_bytes: u64,
    /// Vector extensions that our code can use.
    pub features: Vec<&'static str>,
}

impl Machine {
    /// Looks at this machine.
    pub fn look() -> Self {
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kilobytes = |key: &str| {
            let line = memory.lines().find(|l| l.starts_with(key))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = processor.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split(": ").nth(1));
        Self {
            processor: name.unwrap_or(std::env::consts::ARCH).to_owned(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kilobytes("MemTotal:").unwrap_or(0) * 1024,
            memory_available_bytes: available(kilobytes("MemAvailable:").unwrap_or(0) * 1024, Path::new("/sys/fs/cgroup")),
            features: features(),
        }
    }
}

/// Memory free for use: what the machine has, and no more than what its control group still allows.
fn available(machine_bytes: u64, group: &Path) -> u64 {
    let number = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    // Without a limit the file says `max`.
    let Some((limit, used)) = number("memory.max").zip(number("memory.current")) else { return machine_bytes };
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cached = stat.lines().find_map(|l| l.strip_prefix("inactive_file ")?.trim().parse().ok()).unwrap_or(0);
    let allowed = limit.saturating_sub(used.saturating_sub(cached));
    if machine_bytes == 0 { allowed } else { machine_bytes.min(allowed) }
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    let mut found = Vec::new();
    if std::arch::is_x86_feature_detected!("avx2") {
        found.push("avx2");
    }
    if std::arch::is_x86_feature_detected!("fma") {
        found.push("fma");
    }
    if std::arch::is_x86_feature_detected!("avx512f") {
        found.push("avx512f");
    }
    if std::arch::is_x86_feature_detected!("avx512bf16") {
        found.push("avx512_bf16");
    }
    found
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_groups_limit_bounds_the_free_memory() {
        let dir = tempfile::tempdir().expect("folder");
        assert_eq!(available(1000, dir.path()), 1000);
        fs::write(dir.path().join("memory.max"), "max\n").expect("write");
        fs::write(dir.path().join("memory.current"), "300\n").expect("write");
        assert_eq!(available(1000, dir.path()), 1000);
        fs::write(dir.path().join("memory.max"), "800\n").expect("write");
        assert_eq!(available(1000, dir.path()), 500);
        fs::write(dir.path().join("memory.stat"), "anon 200\ninactive_file 100\n").expect("write");
        assert_eq!((available(1000, dir.path()), available(550, dir.path())), (600, 550));
    }
}
