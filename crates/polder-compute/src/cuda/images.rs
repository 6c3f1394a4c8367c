//! The compiled kernels that the program carries: what `cargo xtask kernels` makes of `kernels/*.cu`, fat binaries for the driver to choose from.

use super::device::CudaError;

/// Checks that a driver can take the kernels: it knows CUDA 13.
///
/// # Errors
/// It is older.
pub fn check(driver: i32) -> Result<(), CudaError> {
    if driver >= 13_000 { Ok(()) } else { Err(CudaError::OldDriver { driver }) }
}

macro_rules! images {
    ($($source:literal)*) => {
        [$(($source, include_bytes!(concat!("../../../../kernels/prebuilt/", $source, ".fatbin")).as_slice())),*]
    };
}

/// Each source's name and its fat binary: machine code for architectures, PTX for those to come.
const IMAGES: &[(&str, &[u8])] = &images! {
    "activation"
    "adamw"
    "attention"
    "attention_sm90"
    "bias"
    "cross_entropy"
    "embedding"
    "gemm"
    "gemm_sm90"
    "head_norm"
    "muon"
    "norm"
    "plain"
    "pool"
    "rope"
    "sample"
};

/// How a fat binary begins: a magic number, a version, this header's own bytes.
const BEGIN: [u8; 8] = [0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0];

/// Each source's name, and its fat binary.
///
/// # Errors
/// An image that is not as long as it says: the driver is given its address alone.
pub fn all() -> Result<Vec<(&'static str, Vec<u8>)>, CudaError> {
    IMAGES.iter().map(|(source, image)| if is_whole(image) { Ok((*source, image.to_vec())) } else { Err(cut(source)) }).collect()
}

fn is_whole(image: &[u8]) -> bool {
    let rest = image.strip_prefix(&BEGIN).and_then(|rest| rest.split_first_chunk::<8>());
    rest.is_some_and(|(len, rest)| u64::from_le_bytes(*len) == rest.len() as u64)
}

fn cut(file: &'static str) -> CudaError {
    let reason = "it is not whole".to_owned();
    CudaError::Load { file, source: Box::new(CudaError::Driver { step: "reading the image", reason }) }
}

#[cfg(test)]
mod readme;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use polder_base::digest_bytes;
    use serde_json::Value;

    use super::super::table::table;
    use super::*;

    pub(super) fn kernels() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels")
    }

    pub(super) fn manifest() -> Value {
        let text = fs::read_to_string(kernels().join("prebuilt/manifest.json")).expect("manifest");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Names in the folder of kernels with one of the extensions, sorted.
    fn files(extensions: &[&str]) -> Vec<String> {
        let names = fs::read_dir(kernels()).expect("kernels").map(|e| e.expect("entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|n| n.rsplit_once('.').is_some_and(|(_, e)| extensions.contains(&e))).collect();
        names.sort();
        names
    }

    #[test]
    fn prebuilt_kernels_are_of_these_sources() {
        const HINT: &str = "run `cargo xtask kernels` and commit what it writes";
        let sum = |name: &String| {
            let bytes = fs::read(kernels().join(name)).expect("source");
            format!("{}  {name}\n", digest_bytes(&bytes).hex())
        };
        let sums: String = files(&["cu", "cuh"]).iter().map(sum).collect();
        let manifest = manifest();
        assert_eq!(manifest["sources"], digest_bytes(sums.as_bytes()).to_string(), "sources have changed; {HINT}");
        let sources = files(&["cu"]).iter().map(|f| f.trim_end_matches(".cu").to_owned()).collect::<Vec<_>>();
        assert_eq!(IMAGES.iter().map(|(source, _)| (*source).to_owned()).collect::<Vec<_>>(), sources, "name every source in `IMAGES`");
        for (source, image) in all().expect("whole images") {
            assert_eq!(manifest["images"][source], digest_bytes(&image).to_string(), "the image of {source}.cu is another one; {HINT}");
        }
    }

    #[test]
    fn entry_points_are_those_of_the_table() {
        let told: BTreeSet<String> = table().flat_map(|row| row.variants.iter().map(|types| row.entry(types))).collect();
        let compiled: BTreeSet<String> = manifest()["entries"].as_object().expect("entries").keys().cloned().collect();
        assert_eq!(told, compiled);
    }

    #[test]
    fn an_image_that_was_cut_is_refused() {
        let (_, image) = IMAGES[0];
        assert!(is_whole(image));
        assert!(!is_whole(&image[..image.len() - 1]) && !is_whole(&image[1..]) && !is_whole(&[]));
    }
}
