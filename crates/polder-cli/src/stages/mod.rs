//! What the commands and the workflow both do, one file a stage: the same code paths for both.

pub mod classifiers;
pub mod deploy;
pub mod models;
pub mod plan;
pub mod prepare;
pub mod statements;
pub mod tokenizers;
pub mod train;
pub mod tune;
pub mod validate;

use polder_base::{Digest, Layout, Manifest, Reference};

use crate::failure::{self, OrAdvise};
use crate::world::World;

/// Reads a number above 0 from the command line.
///
/// # Errors
/// It is none.
pub fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0).ok_or_else(|| "a number above 0 is needed".to_owned())
}

/// Megabytes, as people write them, in bytes.
pub fn megabytes(mb: f64) -> u64 {
    (mb.max(0.0) * 1e6) as u64
}

/// Reads a size of memory: `2GB`, `500 MB`, `512` (MB).
///
/// # Errors
/// It is none.
pub fn memory(text: &str) -> Result<u64, String> {
    let wrong = || "a size such as 2GB or 500MB is needed".to_owned();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let of_unit = match unit.trim().to_ascii_lowercase().as_str() {
        "kb" => 1e3,
        "" | "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "mib" => (1u64 << 20) as f64,
        "gib" => (1u64 << 30) as f64,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * of_unit;
    if bytes >= 1.0 { Ok(bytes as u64) } else { Err(wrong()) }
}

/// Reads the manifest of an artefact in the lake.
///
/// # Errors
/// It is not there, or not readable.
pub fn manifest(world: &World, reference: &Reference) -> anyhow::Result<Manifest> {
    Manifest::read(&folder(world, reference)?).or_advise()
}

/// Whether an artefact stands whole, and no gate said no to it.
pub fn stands(world: &World, reference: &Reference) -> bool {
    let verified = folder(world, reference).is_ok_and(|f| Manifest::verify(&f).is_ok());
    verified && manifest(world, reference).is_ok_and(|m| m.clearance.is_none_or(|c| c.verdict == polder_base::Verdict::Cleared))
}

/// The folder of an artefact; of a model without a version, the newest one.
///
/// # Errors
/// The reference names no artefact.
pub fn folder(world: &World, reference: &Reference) -> anyhow::Result<std::path::PathBuf> {
    let newest = newest(world, reference);
    let hint = "Artefacts look like tokens/NAME, tokenizers/NAME or models/NAME@VERSION.";
    world.layout().artefact(&newest).ok_or_else(|| failure::usage(format!("`{reference}` is not an artefact"), hint))
}

/// Gives a model, adapter or classifier without a version its newest one.
pub fn newest(world: &World, reference: &Reference) -> Reference {
    newest_in(&world.layout(), reference)
}

/// The same by a lake's layout.
pub fn newest_in(layout: &Layout, reference: &Reference) -> Reference {
    match reference {
        Reference::Artefact { kind, name, version: None } if ["models", "adapters", "classifiers"].contains(&kind.as_str()) => {
            let versions = versions_in(layout, kind, name);
            Reference::Artefact { kind: kind.clone(), name: name.clone(), version: Some(versions.last().copied().unwrap_or(1).to_string()) }
        }
        other => other.clone(),
    }
}

/// The versions of a model, adapter or classifier that are whole, in order.
pub fn versions(world: &World, kind: &str, name: &str) -> Vec<u64> {
    versions_in(&world.layout(), kind, name)
}

fn versions_in(layout: &Layout, kind: &str, name: &str) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(layout.kind(kind).join(name)) else { return Vec::new() };
    let whole = entries.flatten().filter(|e| e.path().join(Manifest::FILE).is_file());
    let mut versions: Vec<u64> = whole.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable();
    versions
}

/// Chooses the version for something made from `inputs`: the one that was made from just that, or the next.
pub fn version_for(world: &World, kind: &str, name: &str, inputs: &Digest) -> Reference {
    let named = |version: u64| Reference::Artefact { kind: kind.into(), name: name.into(), version: Some(version.to_string()) };
    let versions = versions(world, kind, name);
    let same = versions.iter().rev().map(|v| named(*v)).find(|r| manifest(world, r).is_ok_and(|m| m.inputs_digest() == *inputs));
    same.unwrap_or_else(|| named(versions.last().copied().unwrap_or(0) + 1))
}

/// Reads a name of one kind of artefact: `models/x`, or just `x`.
///
/// # Errors
/// It is no name.
pub fn named(kind: &str, text: &str) -> Result<Reference, polder_base::ReferenceError> {
    if text.starts_with(&format!("{kind}/")) { text.parse() } else { format!("{kind}/{text}").parse() }
}

#[cfg(test)]
mod tests {
    use super::memory;

    #[test]
    fn sizes_of_memory_are_read_as_people_write_them() {
        let sizes = [("2GB", 2_000_000_000), ("1.5 gb", 1_500_000_000), ("64", 64_000_000), ("500MB", 500_000_000), ("1GiB", 1 << 30)];
        for (text, bytes) in sizes {
            assert_eq!(memory(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "-1GB", "2XB", "0", "1.2.3MB", "much"] {
            assert!(memory(text).is_err(), "{text}");
        }
    }
}
