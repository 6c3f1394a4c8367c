//! One source for one architecture: to PTX, to machine code, and what the compiler and the machine code say of each entry point.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::machine_code;
use super::toolkit::Toolkit;

/// An architecture that machine code is made for. `90a` has the warp groups' matrix products and copies that no later one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Arch {
    Sm90a,
    Sm80,
}

impl Arch {
    /// Those that a source is compiled for.
    pub(super) fn of(source: &str) -> &'static [Self] {
        if source.ends_with("_sm90") { &[Self::Sm90a] } else { &[Self::Sm90a, Self::Sm80] }
    }

    /// `sm_90a`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sm90a => "sm_90a",
            Self::Sm80 => "sm_80",
        }
    }

    /// `90a`.
    pub(super) fn number(self) -> &'static str {
        self.name().trim_start_matches("sm_")
    }
}

/// What nvcc is told, beside the architecture.
///
/// Warning 128, of a loop that is never entered, is wrong of templates: there it is never entered for some of their values.
pub(super) const FRONT: &[&str] = &["-std=c++17", "-O3", "-ptx", "-Werror", "all-warnings", "-diag-suppress", "128"];

/// What ptxas is told, beside the architecture.
pub(super) const BACK: &[&str] = &["-O3", "-v", "-warn-spills", "-warn-lmem-usage"];

/// What an entry point takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) registers: u64,
    /// Static shared memory.
    pub(super) shared_bytes: u64,
}

/// A source for one architecture.
pub(super) struct Unit {
    pub(super) source: String,
    pub(super) arch: Arch,
    pub(super) ptx: PathBuf,
    pub(super) cubin: PathBuf,
    pub(super) entries: BTreeMap<String, Use>,
    pub(super) problems: Vec<String>,
}

/// Compiles `kernels/<source>.cu` into a folder of its own below `room`, unless what it is made of, by its digest, was compiled there before.
///
/// # Errors
/// A source that does not compile, also for a warning.
pub(super) fn unit(toolkit: &Toolkit, kernels: &Path, room: &Path, source: &str, arch: Arch, made_of: &str) -> Result<Unit> {
    let folder = room.join(format!("{source}.{}.{made_of}", arch.name()));
    if !folder.is_dir() {
        let part = folder.with_added_extension(format!("part-{}", std::process::id()));
        fs::create_dir_all(&part).with_context(|| format!("cannot make `{}`", part.display()))?;
        let moved = compile(toolkit, kernels, &part, source, arch).and_then(|()| match fs::rename(&part, &folder) {
            // Another process was quicker with the same.
            Err(_) if folder.is_dir() => Ok(()),
            done => done.with_context(|| format!("cannot write `{}`", folder.display())),
        });
        // Gone already when all went well.
        let _ = fs::remove_dir_all(&part);
        moved.with_context(|| format!("kernels/{source}.cu for {}", arch.name()))?;
    }
    let [ptx, cubin, report] = FILES.map(|name| folder.join(name));
    let report = fs::read_to_string(&report).with_context(|| format!("cannot read `{}`", report.display()))?;
    let (entries, mut problems) = read_report(&report);
    let code = toolkit.run("nvdisasm", &folder, &[OsStr::new("-c"), cubin.as_os_str()])?;
    let code = machine_code::instructions(&String::from_utf8_lossy(&code.stdout));
    problems.extend(machine_code::problems(source, arch, &entries.keys().map(String::as_str).collect::<Vec<_>>(), &code));
    let problems = problems.into_iter().map(|p| format!("kernels/{source}.cu, {}: {p}", arch.name())).collect();
    Ok(Unit { source: source.to_owned(), arch, ptx, cubin, entries, problems })
}

/// What a compiled source leaves in its folder: PTX, machine code, and what was said of it.
const FILES: [&str; 3] = ["code.ptx", "code.cubin", "report.txt"];

fn compile(toolkit: &Toolkit, kernels: &Path, folder: &Path, source: &str, arch: Arch) -> Result<()> {
    let [ptx, _, report] = FILES.map(|name| folder.join(name));
    let (target, file) = (format!("-arch=compute_{}", arch.number()), format!("{source}.cu"));
    let mut front: Vec<&OsStr> = FRONT.iter().map(OsStr::new).collect();
    front.extend([OsStr::new(&target), OsStr::new("-o"), ptx.as_os_str(), OsStr::new(&file)]);
    toolkit.run("nvcc", kernels, &front)?;
    let text = fs::read_to_string(&ptx).with_context(|| format!("cannot read `{}`", ptx.display()))?;
    fs::write(&ptx, without_place(&text)).with_context(|| format!("cannot write `{}`", ptx.display()))?;
    let target = format!("-arch={}", arch.name());
    let mut back: Vec<&OsStr> = BACK.iter().map(OsStr::new).collect();
    back.extend([target.as_str(), "-o", FILES[1], FILES[0]].map(OsStr::new));
    let output = toolkit.run("ptxas", folder, &back)?;
    fs::write(&report, output.stderr).with_context(|| format!("cannot write `{}`", report.display()))
}

/// Names of what only this source sees contain a digest of the source's place in the file system; the images must not depend on it.
fn without_place(ptx: &str) -> String {
    let after = |marker: &'static str| ptx.match_indices(marker).filter_map(move |(at, _)| ptx.get(at + marker.len()..)?.get(..8));
    let is_digest = |id: &&str| id.bytes().all(|b| b.is_ascii_hexdigit());
    let ids: BTreeSet<&str> = after("_INTERNAL_").chain(after("_GLOBAL__N__")).filter(is_digest).collect();
    ids.iter().fold(ptx.to_owned(), |text, id| text.replace(&format!("_{id}_"), "_00000000_"))
}

/// Reads what ptxas says with `-v`: what each entry point takes, and everything else that is not as it should be.
fn read_report(text: &str) -> (BTreeMap<String, Use>, Vec<String>) {
    let mut entries: BTreeMap<String, Use> = BTreeMap::new();
    let mut problems = Vec::new();
    // The last two repeat what the line of the stack frame says with its bytes.
    let passed_over = ["bytes gmem", "Compile time", "Registers are spilled", "Local memory used"];
    // The function that a line without a name speaks of, and the entry point that is compiled.
    let (mut function, mut entry) = (String::new(), String::new());
    for line in text.lines() {
        let info = line.strip_prefix("ptxas info").map(|rest| rest.trim_start_matches([' ', ':']));
        if let Some(rest) = info.and_then(|i| i.strip_prefix("Compiling entry function '")) {
            entry = rest.split('\'').next().unwrap_or_default().to_owned();
            entries.entry(entry.clone()).or_default();
        } else if let Some(rest) = info.and_then(|i| i.strip_prefix("Function properties for ")) {
            function = rest.trim().to_owned();
        } else if let Some(rest) = info.and_then(|i| i.strip_prefix("Used ")) {
            let before = |unit: &str| rest.split(", ").find_map(|part| part.strip_suffix(unit)?.parse().ok()).unwrap_or(0);
            entries.insert(entry.clone(), Use { registers: before(" registers"), shared_bytes: before(" bytes smem") });
        } else if line.contains("bytes stack frame") {
            if line.split(", ").any(|part| !part.trim_start().starts_with("0 ")) {
                problems.push(format!("{function} keeps numbers in memory: {}", line.trim()));
            }
        } else if !line.trim().is_empty() && !passed_over.iter().any(|known| line.contains(known)) {
            problems.push(line.trim().to_owned());
        }
    }
    (entries, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_assembler_reports_is_read() {
        let text = "ptxas info    : 0 bytes gmem, 24 bytes cmem[4]
ptxas info    : Compiling entry function 'a_f32' for 'sm_90a'
ptxas info    : Function properties for a_f32
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 128 bytes smem
ptxas info    : Compile time = 95.361 ms
ptxas info    : Compiling entry function 'a_bf16' for 'sm_90a'
ptxas info    : Function properties for a_bf16
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers
ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to …
ptxas warning : Registers are spilled to local memory in function 'a_bf16'
";
        let (entries, problems) = read_report(text);
        assert_eq!(entries["a_f32"], Use { registers: 40, shared_bytes: 128 });
        assert_eq!(entries["a_bf16"], Use { registers: 255, shared_bytes: 0 });
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("a_bf16 keeps numbers in memory: 16 bytes"), "{problems:?}");
        assert!(problems[1].contains("C7510"), "{problems:?}");
    }

    #[test]
    fn names_do_not_tell_where_a_source_stood() {
        let text = ".const _ZN31_INTERNAL_4dfaf5f4_4_s_cu_s_f3233_GLOBAL__N__4dfaf5f4_4_s_cu_s_f325tableE[256]; mov %r4dfaf5f4;";
        let clean = ".const _ZN31_INTERNAL_00000000_4_s_cu_s_f3233_GLOBAL__N__00000000_4_s_cu_s_f325tableE[256]; mov %r4dfaf5f4;";
        assert_eq!(without_place(text), clean);
        assert_eq!(
            without_place("_ZN39_GLOBAL__N__27735f00_7_bias_cu_09099e386memoryE"),
            "_ZN39_GLOBAL__N__00000000_7_bias_cu_09099e386memoryE"
        );
    }
}
