//! What this machine has.

use std::fs;

use polder_base::Memory;

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
        let memory = Memory::look();
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = processor.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split(": ").nth(1));
        Self {
            processor: name.unwrap_or(std::env::consts::ARCH).to_owned(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory.total_bytes,
            memory_available_bytes: memory.free_bytes,
            features: features(),
        }
    }
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
