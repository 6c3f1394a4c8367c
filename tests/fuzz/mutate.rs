//! Changes to bytes, each a function of (target, number): a failure can be had again.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use polder_base::Random;

/// Changes a target gets.
const N_CHANGES: u64 = 400;
const N_CHANGES_SOAK: u64 = 40_000;

/// Numbers that break arithmetic.
const NUMBERS: [u64; 10] = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];

/// Words of text formats, and numbers and characters at the borders of what they mean.
const WORDS: [&[u8]; 12] = [
    b"null",
    b"true",
    b"-1",
    b"4294967295",
    b"18446744073709551615",
    b"1e308",
    b"\"\"",
    b"{}",
    b"[[",
    b"\\ud800",
    b"\n",
    b"\xf4\x90\x80\x80",
];

/// Gives `check` the sound bytes, and then changed ones again and again.
///
/// # Panics
/// When `check` does; the number of the change is printed first.
pub fn fuzz(target: &str, sound: &[u8], check: &mut dyn FnMut(&[u8])) {
    fuzz_slow(target, sound, 1, check);
}

/// Like [`fuzz`], for a check that takes `times` as long as others: it gets fewer changes.
///
/// # Panics
/// When `check` does; the number of the change is printed first.
pub fn fuzz_slow(target: &str, sound: &[u8], times: u64, check: &mut dyn FnMut(&[u8])) {
    check(sound);
    let soak = std::env::var_os("POLDER_SOAK").is_some_and(|v| v == "1");
    let only = std::env::var("POLDER_FUZZ_ONLY").ok().and_then(|n| n.parse::<u64>().ok());
    let numbers = only.map_or(0..if soak { N_CHANGES_SOAK } else { N_CHANGES } / times, |n| n..n + 1);
    for number in numbers {
        let bytes = changed(target, number, sound);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&bytes))) {
            eprintln!("target {target}, change {number}: {} bytes", bytes.len());
            resume_unwind(panic);
        }
    }
}

/// The most memory that this program has taken, where the system tells it.
pub fn memory_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The bytes after a few changes: bits, bytes, numbers, words, cuts, copies, surplus.
fn changed(target: &str, number: u64, sound: &[u8]) -> Vec<u8> {
    let random = Random::new(number, target);
    let mut draws = 0..;
    let mut draw = |below: usize| {
        let i = draws.next().unwrap_or_default();
        (random.at(i) % below.max(1) as u64) as usize
    };
    let mut bytes = sound.to_vec();
    for _ in 0..1 + draw(3) {
        let at = draw(bytes.len());
        match draw(9) {
            _ if bytes.is_empty() => bytes.push(draw(256) as u8),
            0 => bytes[at] ^= 1 << draw(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b'-', b'"', b'}'][draw(10)],
            2 => {
                // A number somewhere, most often near the beginning, where counts stand.
                let at = if draw(2) == 0 { at } else { draw(48).min(bytes.len() - 1) };
                let width = [2, 4, 8][draw(3)];
                let is = NUMBERS[draw(NUMBERS.len())].wrapping_add(draw(3) as u64).wrapping_sub(1).to_le_bytes();
                let end = bytes.len().min(at + width);
                let n = end - at;
                bytes[at..end].copy_from_slice(&is[..n]);
            }
            3 => bytes.truncate(at),
            4 => bytes.extend((0..1 + at % 40).map(|i| i as u8)),
            5 => {
                let (from, n) = (draw(bytes.len()), draw(24));
                let part: Vec<u8> = bytes[from..bytes.len().min(from + n)].to_vec();
                bytes.splice(at..at, part);
            }
            6 => {
                let (end, word) = (bytes.len().min(at + draw(8)), WORDS[draw(WORDS.len())]);
                bytes.splice(at..end, word.iter().copied());
            }
            _ => {
                let end = bytes.len().min(at + 1 + draw(24));
                bytes.drain(at..end);
            }
        }
    }
    bytes
}

#[test]
fn the_same_number_makes_the_same_change() {
    let sound: Vec<u8> = (0..200).collect();
    for number in 0..200 {
        assert_eq!(changed("a", number, &sound), changed("a", number, &sound));
    }
    let different = (0..200).filter(|n| changed("a", *n, &sound) != sound).count();
    assert!(different > 190, "{different}");
}
