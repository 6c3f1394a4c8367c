//! `cargo xtask kernels`: compiles `kernels/*.cu` into the images that polder-compute embeds, and holds them to what they promise.
//!
//! It runs on machines without a GPU. An image is made of the sources, the pinned compiler and the options below alone, so anyone who builds it again
//! gets the same bytes, which `cargo xtask check --only kernels` does. What it never does is run a kernel. Start with [`build`].

mod compile;
mod machine_code;
mod sha256;
mod toolkit;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::{say, skip, verdict};
use compile::{Arch, BACK, FRONT, Unit, Use};
use toolkit::Toolkit;

/// What all images together may weigh: the repository keeps every version of them.
const IMAGES_BYTES_MAX: usize = 2 << 20;

/// What fatbinary is told. The driver unpacks images itself; no other packing of them is smaller.
const BIND: &[&str] = &["--64", "--compress-all", "--compress-mode=size"];

const FOLDER: &str = "kernels";
const PREBUILT: &str = "kernels/prebuilt";
const BUDGETS: &str = "kernels/budgets.json";

/// The images of all sources, not written yet.
struct Built {
    images: BTreeMap<String, Vec<u8>>,
    manifest: String,
    units: Vec<Unit>,
}

/// Builds all images anew, writes them and checks them; with `write_budgets`, what they take now becomes what they may take.
///
/// # Errors
/// No compiler; sources that do not compile; images that do not hold what they promise. Those are written too, so that they can be tried: the check
/// refuses them.
pub fn build(root: &Path, write_budgets: bool) -> Result<()> {
    let start = Instant::now();
    // Beside the program that runs: cargo's target folder, wherever that is.
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let room = program.ancestors().nth(2).unwrap_or(root).join("kernels");
    let built = compile_all(root, &Toolkit::open(root)?, &room)?;
    let budgets = if write_budgets { budgets(&built.units) } else { budgets_of(root) };
    if write_budgets {
        write(root, BUDGETS, (pretty(&budgets, 1, 0) + "\n").as_bytes())?;
    }
    let folder = root.join(PREBUILT);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{PREBUILT}`"))?;
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read `{PREBUILT}`"))? {
        let path = entry?.path();
        let known = path.file_stem().and_then(OsStr::to_str).is_some_and(|stem| built.images.contains_key(stem));
        if path.extension().is_some_and(|e| e == "fatbin") && !known {
            fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
    }
    for (source, image) in &built.images {
        write(root, &image_path(source), image)?;
    }
    write(root, &manifest_path(), built.manifest.as_bytes())?;
    let bytes: usize = built.images.values().map(Vec::len).sum();
    let (n, seconds) = (built.images.len(), start.elapsed().as_secs_f64());
    say(&format!("wrote {n} images, {} kB, to {PREBUILT} in {seconds:.1} s", bytes / 1000));
    verdict(&problems(&budgets, &built))?;
    say("next: `POLDER_WRITE=1 cargo test --release -p polder-compute --lib images` renews the table in kernels/README.md");
    Ok(())
}

/// Compares what is in the repository with its sources; where the compiler can be had, by building it again.
///
/// # Errors
/// Images that are not of these sources, or not what they promise; with `POLDER_REQUIRE_KERNELS`, also no compiler.
pub fn check(root: &Path) -> Result<()> {
    let manifest = fs::read_to_string(root.join(manifest_path())).unwrap_or_default();
    let found: Value = serde_json::from_str(&manifest).unwrap_or_default();
    for (key, wanted) in made_of(root)? {
        if found.get(&key) != Some(&wanted) {
            bail!("the images in {PREBUILT} are of other {key}; run `cargo xtask kernels` and commit what it writes");
        }
    }
    let toolkit = match Toolkit::open(root) {
        Ok(toolkit) => toolkit,
        Err(e) if std::env::var_os("POLDER_REQUIRE_KERNELS").is_none() => {
            skip(format!(
                "the kernels were compared with their sources' digest alone, not built again, for there is no CUDA compiler: {e:#}"
            ));
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    let room = std::env::temp_dir().join(format!("polder-kernels-{}", std::process::id()));
    let built = compile_all(root, &toolkit, &room);
    // Left behind, it harms no one.
    let _ = fs::remove_dir_all(&room);
    let built = built?;
    let mut problems = problems(&budgets_of(root), &built);
    for (source, image) in &built.images {
        if fs::read(root.join(image_path(source))).ok().as_ref() != Some(image) {
            problems
                .push(format!("{} is not what the compiler makes of kernels/{source}.cu; run `cargo xtask kernels`", image_path(source)));
        }
    }
    if built.manifest != manifest {
        problems.push(format!("{} is not that of the images; run `cargo xtask kernels`", manifest_path()));
    }
    verdict(&problems)
}

fn image_path(source: &str) -> String {
    format!("{PREBUILT}/{source}.fatbin")
}

fn manifest_path() -> String {
    format!("{PREBUILT}/manifest.json")
}

/// Names in the folder of kernels with one of the extensions, sorted.
fn files(root: &Path, extensions: &[&str]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join(FOLDER)).with_context(|| format!("cannot read `{FOLDER}`"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.rsplit_once('.').is_some_and(|(_, e)| extensions.contains(&e)) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read(root: &Path, path: &str) -> Result<Vec<u8>> {
    fs::read(root.join(path)).with_context(|| format!("cannot read `{path}`"))
}

/// What determines the images: the digest of what `sha256sum` prints of the sources, sorted; compiler; options.
fn made_of(root: &Path) -> Result<BTreeMap<String, Value>> {
    let mut sums = String::new();
    for name in files(root, &["cu", "cuh"])? {
        sums.push_str(&format!("{}  {name}\n", sha256::hex(&read(root, &format!("{FOLDER}/{name}"))?)));
    }
    let pins = String::from_utf8(read(root, toolkit::PINS)?).with_context(|| format!("`{}` is not text", toolkit::PINS))?;
    let compiler: Vec<&str> = pins.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_whitespace().next()).collect();
    Ok(BTreeMap::from([
        ("sources".to_owned(), format!("sha256:{}", sha256::hex(sums.as_bytes())).into()),
        ("compiler".to_owned(), json!(compiler)),
        ("options".to_owned(), json!([FRONT.join(" "), BACK.join(" "), BIND.join(" ")])),
    ]))
}

/// The digest of what determines one source's machine code.
fn unit_made_of(root: &Path, source: &str) -> Result<String> {
    let mut text = read(root, toolkit::PINS)?;
    text.extend([FRONT, BACK].concat().join(" ").bytes());
    for name in files(root, &["cuh"])?.iter().chain([&format!("{source}.cu")]) {
        text.extend(name.bytes());
        text.extend(read(root, &format!("{FOLDER}/{name}"))?);
    }
    let digest = sha256::hex(&text);
    Ok(digest[..16].to_owned())
}

/// Compiles every source for every architecture, and binds the results. What was compiled in `room` before is taken from there.
fn compile_all(root: &Path, toolkit: &Toolkit, room: &Path) -> Result<Built> {
    fs::create_dir_all(room).with_context(|| format!("cannot make `{}`", room.display()))?;
    let units = compile_units(root, toolkit, room)?;
    let mut images: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for source in files(root, &["cu"])?.iter().filter_map(|f| f.strip_suffix(".cu")) {
        images.insert(source.to_owned(), bind(toolkit, room, source, &units)?);
    }
    let manifest = manifest(root, &images, &units)?;
    Ok(Built { images, manifest, units })
}

/// As many at once as there are processors.
fn compile_units(root: &Path, toolkit: &Toolkit, room: &Path) -> Result<Vec<Unit>> {
    let kernels = root.join(FOLDER);
    let mut jobs: Vec<(u64, String, Arch, String)> = Vec::new();
    for file in files(root, &["cu"])? {
        let bytes = fs::metadata(kernels.join(&file)).map_or(0, |m| m.len());
        let source = file.trim_end_matches(".cu");
        let made_of = unit_made_of(root, source)?;
        jobs.extend(Arch::of(source).iter().map(|arch| (bytes, source.to_owned(), *arch, made_of.clone())));
    }
    // The long ones first, so that none is left for the end.
    jobs.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| (&a.1, a.2).cmp(&(&b.1, b.2))));
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((_, source, arch, made_of)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let start = Instant::now();
            let unit = compile::unit(toolkit, &kernels, room, source, *arch, made_of);
            if let Ok(unit) = &unit {
                let most = unit.entries.values().map(|taken| taken.registers).max().unwrap_or(0);
                let (n, seconds) = (unit.entries.len(), start.elapsed().as_secs_f64());
                say(&format!("{source:<16} {:<6} {n:>3} entry points, at most {most:>3} registers {seconds:>6.1} s", arch.name()));
            }
            if let Ok(mut done) = done.lock() {
                done.push(unit);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (units, failed): (Vec<_>, Vec<_>) = done.into_inner().unwrap_or_default().into_iter().partition(Result::is_ok);
    let failed: Vec<String> = failed.into_iter().filter_map(Result::err).map(|e| format!("{e:#}")).collect();
    verdict(&failed)?;
    let mut units: Vec<Unit> = units.into_iter().flatten().collect();
    units.sort_by(|a, b| (&a.source, a.arch).cmp(&(&b.source, b.arch)));
    Ok(units)
}

/// One fat binary: machine code for each architecture, and PTX of the oldest for those to come.
fn bind(toolkit: &Toolkit, room: &Path, source: &str, units: &[Unit]) -> Result<Vec<u8>> {
    // Another process may work in the same place.
    let image = room.join(format!("{source}.{}.fatbin", std::process::id()));
    let mut create = OsString::from("--create=");
    create.push(&image);
    let mut arguments: Vec<OsString> = BIND.iter().map(OsString::from).chain([create]).collect();
    for unit in units.iter().filter(|u| u.source == source) {
        let mut part = |kind: &str, file: &Path| {
            let mut argument = OsString::from(format!("--image3=kind={kind},sm={},file=", unit.arch.number()));
            argument.push(file);
            arguments.push(argument);
        };
        part("elf", &unit.cubin);
        if unit.arch == Arch::Sm80 {
            part("ptx", &unit.ptx);
        }
    }
    toolkit.run("fatbinary", room, &arguments.iter().map(OsString::as_os_str).collect::<Vec<_>>())?;
    let bytes = fs::read(&image).with_context(|| format!("cannot read `{}`", image.display()))?;
    fs::remove_file(&image).with_context(|| format!("cannot remove `{}`", image.display()))?;
    Ok(bytes)
}

fn manifest(root: &Path, images: &BTreeMap<String, Vec<u8>>, units: &[Unit]) -> Result<String> {
    let digests: BTreeMap<&String, String> = images.iter().map(|(s, image)| (s, format!("sha256:{}", sha256::hex(image)))).collect();
    let taken = |taken: &Use| json!({"registers": taken.registers, "shared_bytes": taken.shared_bytes});
    let mut manifest = made_of(root)?;
    manifest.insert("images".to_owned(), json!(digests));
    manifest.insert("entries".to_owned(), by_entry(units, taken));
    Ok(pretty(&json!(manifest), 2, 0) + "\n")
}

/// Registers of each entry point on each architecture.
fn budgets(units: &[Unit]) -> Value {
    by_entry(units, |taken| taken.registers.into())
}

fn budgets_of(root: &Path) -> Value {
    let text = fs::read_to_string(root.join(BUDGETS)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// A value for each entry point and architecture.
fn by_entry(units: &[Unit], value: impl Fn(&Use) -> Value) -> Value {
    let mut entries: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
    for unit in units {
        for (entry, taken) in &unit.entries {
            entries.entry(entry).or_default().insert(unit.arch.name(), value(taken));
        }
    }
    json!(entries)
}

/// JSON with a line for each thing `depth` levels down, so that a difference is a line.
fn pretty(value: &Value, depth: usize, indent: usize) -> String {
    match value.as_object().filter(|object| depth > 0 && !object.is_empty()) {
        None => value.to_string(),
        Some(object) => {
            let pad = "  ".repeat(indent + 1);
            let line = |(key, value): (&String, &Value)| format!("{pad}{}: {}", json!(key), pretty(value, depth - 1, indent + 1));
            format!("{{\n{}\n{}}}", object.iter().map(line).collect::<Vec<_>>().join(",\n"), "  ".repeat(indent))
        }
    }
}

/// Everything about built images that is not as it should be.
fn problems(budgets: &Value, built: &Built) -> Vec<String> {
    let mut problems: Vec<String> = built.units.iter().flat_map(|unit| unit.problems.clone()).collect();
    problems.extend(over_budget(budgets, &built.units));
    let bytes: usize = built.images.values().map(Vec::len).sum();
    if bytes > IMAGES_BYTES_MAX {
        let mut parts: Vec<(usize, &String)> = built.images.iter().map(|(source, image)| (image.len(), source)).collect();
        parts.sort_by(|a, b| b.cmp(a));
        let parts: Vec<String> = parts.iter().take(4).map(|(len, source)| format!("{source} {} kB", len / 1000)).collect();
        let (bytes, most) = (bytes / 1000, IMAGES_BYTES_MAX / 1000);
        problems.push(format!("the images weigh {bytes} kB, of which {most} are allowed; the heaviest: {}", parts.join(", ")));
    }
    problems
}

fn over_budget(budgets: &Value, units: &[Unit]) -> Vec<String> {
    let (mut problems, mut unknown) = (Vec::new(), Vec::new());
    for unit in units {
        for (entry, taken) in &unit.entries {
            let (arch, registers) = (unit.arch.name(), taken.registers);
            match budgets[entry][arch].as_u64() {
                Some(budget) if registers <= budget => {}
                Some(budget) => problems.push(format!("{entry} takes {registers} registers on {arch}, of which {BUDGETS} allows {budget}")),
                None => unknown.push(format!("{entry} on {arch}")),
            }
        }
    }
    if !unknown.is_empty() {
        problems.push(format!("{BUDGETS} has nothing for {}; `cargo xtask kernels --write-budgets` writes it", unknown.join(", ")));
    }
    let exists = |entry: &str| units.iter().any(|u| u.entries.contains_key(entry));
    let gone = budgets.as_object().into_iter().flat_map(Map::keys).filter(|entry| !exists(entry));
    problems.extend(gone.map(|entry| format!("{BUDGETS} speaks of {entry}, which is no entry point")));
    problems
}

/// Writes a file whole.
fn write(root: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let (file, part) = (root.join(path), root.join(format!("{path}.part")));
    fs::write(&part, bytes).and_then(|()| fs::rename(&part, &file)).with_context(|| format!("cannot write `{path}`"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn unit(registers: u64) -> Unit {
        Unit {
            source: "norm".to_owned(),
            arch: Arch::Sm80,
            ptx: PathBuf::new(),
            cubin: PathBuf::new(),
            entries: BTreeMap::from([("norm_f32".to_owned(), Use { registers, shared_bytes: 0 })]),
            problems: Vec::new(),
        }
    }

    #[test]
    fn what_takes_more_registers_than_allowed_is_named() {
        let budgets = budgets(&[unit(40)]);
        assert_eq!(over_budget(&budgets, &[unit(40)]), Vec::<String>::new());
        assert_eq!(over_budget(&budgets, &[unit(39)]), Vec::<String>::new());
        assert!(over_budget(&budgets, &[unit(41)])[0].contains("takes 41 registers on sm_80, of which"));
    }

    #[test]
    fn a_difference_is_a_line() {
        let value = json!({"a": {"b": {"c": [1, 2]}, "d": 3}, "e": {}});
        assert_eq!(pretty(&value, 2, 0), "{\n  \"a\": {\n    \"b\": {\"c\":[1,2]},\n    \"d\": 3\n  },\n  \"e\": {}\n}");
    }

    #[test]
    fn budgets_speak_of_every_entry_point_and_of_no_other() {
        assert!(over_budget(&Value::Null, &[unit(40)])[0].contains("nothing for norm_f32"));
        assert!(over_budget(&budgets(&[unit(40)]), &[])[0].contains("speaks of norm_f32"));
    }
}
