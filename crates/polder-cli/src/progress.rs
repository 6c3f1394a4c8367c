//! Long work shows its rate and the time left; silent when nobody looks.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output;

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
