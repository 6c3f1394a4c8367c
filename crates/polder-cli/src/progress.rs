//! Long work shows its rate and the time left; silent when nobody looks.

use std::convert::Infallible;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use polder_base::units;
use polder_lake::{Reading, Watch};

use crate::output;

/// A statement that ends sooner shows nothing.
const LONG: Duration = Duration::from_secs(1);

/// Tells what a statement has read, again and again, once it takes long.
pub async fn each(watch: &Watch, mut tell: impl FnMut(Reading)) -> Infallible {
    tokio::time::sleep(LONG).await;
    loop {
        tell(watch.reading());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What lies on disk for want of memory, if anything does.
fn on_disk(reading: Reading) -> String {
    if reading.spilled_bytes == 0 { String::new() } else { format!(" · {} on disk", units::bytes(reading.spilled_bytes)) }
}

/// A line that shows how far a piece of work is.
pub struct Bar(ProgressBar);

/// What a bar counts.
#[derive(Clone, Copy)]
pub enum Unit {
    /// Bytes of text.
    Bytes,
    /// Things: steps, documents.
    Count,
}

impl Bar {
    /// Starts a line; a `total` of 0 means unknown.
    pub fn new(name: &str, total: u64, unit: Unit) -> Self {
        let target = if output::is_terminal() { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target((total > 0).then_some(total), target);
        let numbers = match unit {
            Unit::Bytes => "{decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}",
            Unit::Count => "{human_pos}/{human_len} {per_sec}",
        };
        let template = if total > 0 {
            format!("    {{msg:28}} {{bar:24}} {numbers} · {{eta}} left")
        } else {
            "    {msg:28} {spinner} {elapsed}".to_owned()
        };
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        }
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Moves to a position.
    pub fn at(&self, position: u64) {
        self.0.set_position(position);
    }

    /// Names a new total.
    pub fn total(&self, total: u64) {
        self.0.set_length(total);
    }

    /// Moves to what a statement has read.
    pub fn reading(&self, reading: Reading) {
        self.total(reading.rows.max(1));
        self.at(reading.rows_read);
        self.name(&format!("rows read{}", on_disk(reading)));
    }

    /// Names the line by a table and what has been read for it.
    pub fn making(&self, table: &str, reading: Reading) {
        let (read, rows) = (units::count(reading.rows_read), units::count(reading.rows));
        self.name(&format!("{table} · {read} of {rows} rows read{}", on_disk(reading)));
    }

    /// Prints a line above it.
    pub fn above(&self, line: &str) {
        if self.0.is_hidden() {
            output::note(line);
        } else {
            self.0.println(line);
        }
    }

    /// Renames the line.
    pub fn name(&self, name: &str) {
        self.0.set_message(name.to_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
