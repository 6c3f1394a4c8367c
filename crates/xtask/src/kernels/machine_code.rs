//! What the machine code must and must not hold: instructions by name, a look at what the compiler made of the source.

use std::collections::{BTreeMap, BTreeSet};

use super::compile::Arch;

/// Instructions that an entry point needs.
struct Need {
    /// The source, and which of its entry points. `*` stands for anything.
    source: &'static str,
    entries: &'static str,
    /// Entry points that the rule is not for.
    except: &'static [&'static str],
    /// One of these; `…` in a name stands for any modifiers.
    any: &'static [&'static str],
}

/// Products of a warp group, which alone reach Hopper's full rate.
const GROUP_PRODUCTS: &[&str] = &["HGMMA…"];
/// Products of a warp.
const WARP_PRODUCTS: &[&str] = &["HMMA…", "HGMMA…"];
/// Reads of 16 bytes a thread, or copies by the copy engine.
const WIDE_READS: &[&str] = &["LDG…128…", "LD.E…128…", "LDGSTS…128…", "UTMALDG…", "UBLKCP…"];
/// Writes of 16 bytes a thread, for what reads nothing.
const WIDE_WRITES: &[&str] = &["STG…128…", "ST.E…128…"];

/// Those that have no two rows to multiply at a time, and those for sizes that tensor cores do not take.
const ATTENTION_BY_ROWS: &[&str] = &["attention_*_plain_*", "attention_rows_*", "attention_decode_*", "attention_append_*"];

const NEEDS: &[Need] = &[
    Need { source: "gemm_sm90", entries: "*", except: &["gemm_sm90_sum_*"], any: GROUP_PRODUCTS },
    Need { source: "attention_sm90", entries: "*", except: &["attention_delta_*"], any: GROUP_PRODUCTS },
    Need { source: "gemm", entries: "*_bf16*", except: &["gemm_sum_*"], any: WARP_PRODUCTS },
    Need { source: "attention", entries: "*_bf16*", except: ATTENTION_BY_ROWS, any: WARP_PRODUCTS },
    Need { source: "plain", entries: "fill_*", except: &[], any: WIDE_WRITES },
    Need { source: "plain", entries: "*", except: &["fill_*", "sum_parts"], any: WIDE_READS },
    Need { source: "activation", entries: "*", except: &[], any: WIDE_READS },
    Need { source: "adamw", entries: "*", except: &[], any: WIDE_READS },
    Need { source: "muon", entries: "*", except: &["muon_trace"], any: WIDE_READS },
    Need { source: "bias", entries: "*", except: &["add_parts"], any: WIDE_READS },
    Need { source: "embedding", entries: "*", except: &["embedding_backward_count", "embedding_backward_sort"], any: WIDE_READS },
    Need { source: "pool", entries: "*", except: &[], any: WIDE_READS },
    Need { source: "rope", entries: "*", except: &[], any: WIDE_READS },
    Need { source: "norm", entries: "*", except: &[], any: WIDE_READS },
    Need { source: "head_norm", entries: "*", except: &[], any: WIDE_READS },
    Need { source: "cross_entropy", entries: "*", except: &[], any: WIDE_READS },
];

/// Entry points that do nothing in code for Hopper, which has others for the same sizes.
const ELSEWHERE_ON_HOPPER: &[&str] = &["attention_*_d64_bf16", "attention_*_d96_bf16", "attention_*_d128_bf16"];

/// How an instruction begins that leaves something behind.
const WRITES: &[&str] = &["ST", "RED", "ATOM", "UTMA", "UBLK"];

/// Instructions of each entry point, modifiers and all, from what `nvdisasm -c` prints.
pub(super) fn instructions(listing: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut entry = None;
    for line in listing.lines() {
        if let Some(name) = line.strip_prefix(".text.").and_then(|l| l.strip_suffix(':')) {
            entry = Some(found.entry(name.to_owned()).or_default());
        } else if let (Some(entry), Some(name)) = (entry.as_mut(), instruction(line)) {
            entry.insert(name.to_owned());
        }
    }
    found
}

/// `/*0040*/ @!P0 LDG.E.128 R4, …` → `LDG.E.128`.
fn instruction(line: &str) -> Option<&str> {
    let (_, rest) = line.trim_start().strip_prefix("/*")?.split_once("*/")?;
    let mut words = rest.split([' ', ';', '\t']).filter(|w| !w.is_empty());
    let first = words.next()?;
    if first.starts_with('@') { words.next() } else { Some(first) }
}

/// What is missing, and what must not be there, in the code of a source's functions, of which some are entry points.
pub(super) fn problems(source: &str, arch: Arch, entries: &[&str], code: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut problems = Vec::new();
    for (function, names) in code {
        let local: Vec<&str> = names.iter().map(String::as_str).filter(|n| n.starts_with("LDL") || n.starts_with("STL")).collect();
        if !local.is_empty() {
            problems.push(format!("{function} keeps numbers in memory: {}", local.join(", ")));
        }
    }
    let any = |entry: &str, is: &dyn Fn(&String) -> bool| code.get(entry).is_some_and(|names| names.iter().any(is));
    let works = |entry: &str| any(entry, &|name| WRITES.iter().any(|w| name.starts_with(w)));
    let elsewhere = |entry: &str| arch == Arch::Sm90a && ELSEWHERE_ON_HOPPER.iter().any(|e| fits(e, entry));
    problems.extend(entries.iter().filter(|e| !works(e) && !elsewhere(e)).map(|entry| format!("{entry} does nothing")));
    for need in NEEDS.iter().filter(|n| n.source == source) {
        let meant = |entry: &&&str| fits(need.entries, entry) && !need.except.iter().any(|e| fits(e, entry));
        let meant: Vec<&&str> = entries.iter().filter(meant).collect();
        if meant.is_empty() {
            problems.push(format!("no entry point is a `{}`, of which machine_code.rs asks something", need.entries));
        }
        let has = |name: &String| need.any.iter().any(|n| fits(&n.replace('…', "*"), name));
        let lacks = |entry: &&&str| works(entry) && !any(entry, &has);
        problems.extend(meant.into_iter().filter(lacks).map(|entry| format!("{entry} has none of {}", need.any.join(", "))));
    }
    problems
}

/// Whether a name is of a pattern in which `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            name.strip_prefix(before).is_some_and(|rest| (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|r| fits(after, r))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "\t.section\t.text.copy_f32_f32,\"ax\",@progbits
.text.copy_f32_f32:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/              @!P0 LDG.E.128.CONSTANT R4, desc[UR4][R2.64] ;
.L_x_0:
        /*0018*/                   STG.E.128 desc[UR4][R2.64], R4 ;
        /*0020*/               @P0 EXIT ;
.text.copy_bf16_f32:
        /*0000*/                   LDG.E R4, desc[UR4][R2.64] ;
        /*0010*/                   STL [R1], R4 ;
.text.copy_bf16_bf16:
        /*0000*/                   EXIT ;
";

    #[test]
    fn narrow_reads_and_numbers_in_memory_are_found() {
        let found = instructions(LISTING);
        assert_eq!(found["copy_f32_f32"].iter().collect::<Vec<_>>(), ["EXIT", "LDC", "LDG.E.128.CONSTANT", "STG.E.128"]);
        let entries = ["copy_f32_f32", "copy_bf16_f32", "copy_bf16_bf16"];
        let problems = problems("plain", Arch::Sm80, &entries, &found);
        assert!(problems[0].starts_with("copy_bf16_f32 keeps numbers in memory: STL"), "{problems:?}");
        assert_eq!(problems[1], "copy_bf16_bf16 does nothing");
        assert!(problems[2].contains("no entry point is a `fill_*`"), "{problems:?}");
        assert!(problems[3].starts_with("copy_bf16_f32 has none of LDG"), "{problems:?}");
        assert_eq!(problems.len(), 4);
    }

    #[test]
    fn what_hopper_does_elsewhere_may_be_empty_there_alone() {
        let (entry, empty) = ("attention_forward_d64_bf16", BTreeSet::from(["EXIT".to_owned()]));
        let found = BTreeMap::from([(entry.to_owned(), empty)]);
        assert_eq!(problems("attention", Arch::Sm90a, &[entry], &found), Vec::<String>::new());
        assert_eq!(problems("attention", Arch::Sm80, &[entry], &found), [format!("{entry} does nothing")]);
    }

    #[test]
    fn patterns_fit_whole_names() {
        assert!(fits("*_bf16*", "gemm_bf16_f32") && fits("LDG*128*", "LDG.E.128") && fits("sum_parts", "sum_parts"));
        assert!(!fits("sum_parts", "sum_parts_f32") && !fits("LDG*128*", "LDG.E.64") && !fits("a*b", "b"));
    }
}
