//! Points in time, passed in as values: only binaries read the clock.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Milliseconds since 1970-01-01T00:00:00Z, written as RFC 3339.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Timestamp(pub i64);

/// Why a text is no timestamp.
#[derive(Debug, Error)]
#[error("`{0}` is not a time such as 2026-01-31T12:00:00Z")]
pub struct TimestampError(String);

impl Timestamp {
    /// Reads the machine's clock; for binaries and tests.
    pub fn now() -> Self {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        Self(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    /// Returns the date, `2026-01-31`.
    pub fn date(&self) -> String {
        self.to_string()[..10].to_owned()
    }
}

/// Days since 1970-01-01 → (year, month, day), by Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// (year, month, day) → days since 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(86_400_000));
        let ms = self.0.rem_euclid(86_400_000);
        let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}Z", ms % 1000)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let wrong = || TimestampError(text.to_owned());
        let body = text.strip_suffix('Z').ok_or_else(wrong)?;
        let (date, time) = body.split_once('T').ok_or_else(wrong)?;
        let numbers = |part: &str, sep: char| -> Option<Vec<i64>> { part.split(sep).map(|x| x.parse().ok()).collect() };
        let date = numbers(date, '-').filter(|d| d.len() == 3).ok_or_else(wrong)?;
        let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let clock = numbers(clock, ':').filter(|c| c.len() == 3).ok_or_else(wrong)?;
        if !fraction.bytes().all(|b| b.is_ascii_digit()) || !(1..=12).contains(&date[1]) || !(1..=31).contains(&date[2]) {
            return Err(wrong());
        }
        let millis: i64 = format!("{fraction:0<3}")[..3].parse().map_err(|_| wrong())?;
        let seconds = clock[0] * 3600 + clock[1] * 60 + clock[2];
        Ok(Self((days(date[0], date[1], date[2]) * 86_400 + seconds) * 1000 + millis))
    }
}

impl From<Timestamp> for String {
    fn from(t: Timestamp) -> Self {
        t.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;
    fn try_from(s: String) -> Result<Self, TimestampError> {
        s.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates_print_and_read_back() {
        for (ms, text) in [(0, "1970-01-01T00:00:00.000Z"), (951_782_400_123, "2000-02-29T00:00:00.123Z"), (-1, "1969-12-31T23:59:59.999Z")]
        {
            assert_eq!(Timestamp(ms).to_string(), text);
            assert_eq!(text.parse::<Timestamp>().ok(), Some(Timestamp(ms)));
        }
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
