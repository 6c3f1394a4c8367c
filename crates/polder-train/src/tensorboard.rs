//! A run's metrics as an event file that TensorBoard reads.
//!
//! The file is a row of records: length, its checksum, an `Event` in protocol-buffer encoding, its checksum. The fields
//! written are `wall_time` (1), `step` (2), `file_version` (3), and `summary` (5) with values of `tag` (1) and
//! `simple_value` (2).

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use polder_base::write_whole;

use crate::{Metric, TrainError};

/// The event file, open for appending.
pub(crate) struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// Writes the file anew with what was measured so far.
    pub fn create(run_dir: &Path, lines: &[Metric]) -> Result<Self, TrainError> {
        let path = run_dir.join("tensorboard").join("events.out.tfevents.0.polder");
        let seconds = lines.first().map_or(0.0, |m| m.at_ms as f64 / 1e3);
        let mut version = number(1, seconds);
        bytes(&mut version, 3, b"brain.Event:2");
        let mut all = record(&version);
        lines.iter().for_each(|line| all.extend(record(&event(line))));
        write_whole(&path, &all)?;
        let file = fs::OpenOptions::new().append(true).open(&path).map_err(TrainError::file("open", &path))?;
        Ok(Self { path, file })
    }

    pub fn push(&mut self, metric: &Metric) -> Result<(), TrainError> {
        self.file.write_all(&record(&event(metric))).map_err(TrainError::file("append to", &self.path))
    }
}

/// A step as an `Event`.
fn event(metric: &Metric) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in metric.scalars() {
        let mut one = Vec::new();
        bytes(&mut one, 1, tag.as_bytes());
        one.push(2 << 3 | 5);
        one.extend((value as f32).to_le_bytes());
        bytes(&mut summary, 1, &one);
    }
    let mut event = number(1, metric.at_ms as f64 / 1e3);
    event.push(2 << 3);
    varint(&mut event, metric.step);
    bytes(&mut event, 5, &summary);
    event
}

/// A field of eight bytes.
fn number(field: u8, value: f64) -> Vec<u8> {
    let mut out = vec![field << 3 | 1];
    out.extend(value.to_le_bytes());
    out
}

/// A field of counted bytes.
fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut out = length.to_vec();
    out.extend(masked_crc32c(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked_crc32c(data).to_le_bytes());
    out
}

/// CRC-32C, turned and shifted, so that the checksum of data that holds checksums stays a good one.
fn masked_crc32c(data: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    let crc = !data
        .iter()
        .fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 }));
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_crc_32c() {
        // The check value of the catalogue of CRC algorithms for "123456789" is E3069283.
        let unmasked = masked_crc32c(b"123456789").wrapping_sub(0xA282_EAD8).rotate_left(15);
        assert_eq!(unmasked, 0xE306_9283);
    }

    #[test]
    fn records_hold_what_was_measured_and_a_run_that_goes_on_adds_to_them() {
        let dir = tempfile::tempdir().expect("folder");
        let line = |step: u64| Metric { step, at_ms: 1000 * step, loss: 2.5, validation_loss: Some(3.0), ..Metric::default() };
        let mut board = TensorBoard::create(dir.path(), &[line(1)]).expect("create");
        board.push(&line(300)).expect("push");
        let all = fs::read(dir.path().join("tensorboard/events.out.tfevents.0.polder")).expect("read");
        let (mut at, mut records) = (0, Vec::new());
        while at < all.len() {
            let len = u64::from_le_bytes(all[at..at + 8].try_into().expect("length")) as usize;
            let data = &all[at + 12..at + 12 + len];
            let word = |at: usize| u32::from_le_bytes(all[at..at + 4].try_into().expect("word"));
            assert_eq!((word(at + 8), word(at + 12 + len)), (masked_crc32c(&all[at..at + 8]), masked_crc32c(data)));
            records.push(data.to_vec());
            at += len + 16;
        }
        assert_eq!(records.len(), 3);
        assert_eq!(&records[0][11..], b"brain.Event:2");
        // Step 300 as a varint, then the summary with its first tag and value.
        assert_eq!(&records[2][9..12], &[0x10, 0xAC, 0x02]);
        let place = records[2].windows(10).position(|w| w == b"train/loss").expect("tag");
        assert_eq!(&records[2][place + 11..place + 15], &2.5f32.to_le_bytes());
        assert!(records[2].windows(15).any(|w| w == b"validation/loss"));
    }
}
