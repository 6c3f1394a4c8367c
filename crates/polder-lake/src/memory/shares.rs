//! Who may take how much.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

/// Percent of the memory that operators have together which can spill, and so many again what merges of the spilled: what cannot be
/// spilled at all has the rest, and more while those take less.
const SHARED_PERCENT: usize = 40;
/// Merges of a sort's runs, by the name that the engine gives them. They take what they get, down to two runs at once.
const MERGE: &str = "ExternalSorterMerge";

/// Memory in equal shares: no sort and no group can take what another needs to go on.
#[derive(Debug)]
pub(super) struct Shares {
    bytes_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    spillers: Class,
    merges: Class,
    others: Class,
}

#[derive(Clone, Copy)]
enum Kind {
    Spiller,
    Merge,
    Other,
}

impl Kind {
    fn of(consumer: &MemoryConsumer) -> Self {
        if consumer.can_spill() {
            Self::Spiller
        } else if consumer.name().starts_with(MERGE) {
            Self::Merge
        } else {
            Self::Other
        }
    }
}

/// Operators of a kind.
#[derive(Debug, Default)]
struct Class {
    number: usize,
    bytes: usize,
}

impl Shares {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, taken: Mutex::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn class(&mut self, kind: Kind) -> &mut Class {
        match kind {
            Kind::Spiller => &mut self.spillers,
            Kind::Merge => &mut self.merges,
            Kind::Other => &mut self.others,
        }
    }

    fn bytes(&self) -> usize {
        self.spillers.bytes + self.merges.bytes + self.others.bytes
    }
}

impl MemoryPool for Shares {
    fn name(&self) -> &'static str {
        "shares"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.taken().class(Kind::of(consumer)).number += 1;
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut taken = self.taken();
        let class = taken.class(Kind::of(consumer));
        class.number = class.number.saturating_sub(1);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.taken().class(Kind::of(reservation.consumer())).bytes += additional;
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut taken = self.taken();
        let class = taken.class(Kind::of(reservation.consumer()));
        class.bytes = class.bytes.saturating_sub(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut taken = self.taken();
        let free = self.bytes_max.saturating_sub(taken.bytes());
        let together = (self.bytes_max / 100 * SHARED_PERCENT).min(self.bytes_max.saturating_sub(taken.others.bytes) / 2);
        let (consumer, held) = (reservation.consumer(), reservation.size());
        let kind = Kind::of(consumer);
        let class = taken.class(kind);
        // A share of what is meant for its kind, or a part of what it could have of the rest, whichever is more: a group's table takes
        // megabytes before its first row, and what a merge holds was let in when there were fewer.
        let share = together / class.number.max(1);
        let room = match kind {
            Kind::Other => free,
            // One batch, however long its rows, or nothing goes on.
            _ if held == 0 => share.max(free),
            Kind::Spiller => share.max((free + held) / 4).saturating_sub(held),
            Kind::Merge => share.max((free + held) / 2).saturating_sub(held),
        };
        if additional > room {
            let name = consumer.name();
            let why = format!("{name} holds {held} bytes, asks for {additional} more, and {room} of {} are left for it", self.bytes_max);
            return Err(DataFusionError::ResourcesExhausted(why));
        }
        class.bytes += additional;
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.taken().bytes()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes_max)
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.name(), self.bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn no_sort_takes_what_another_or_its_merge_needs_and_each_gets_one_batch() {
        let pool: Arc<dyn MemoryPool> = Arc::new(Shares::new(1000));
        let spiller = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let (a, b) = (spiller("ExternalSorter[0]"), spiller("ExternalSorter[1]"));
        let merge = MemoryConsumer::new("ExternalSorterMerge[0]").register(&pool);
        a.try_grow(100).expect("its first batch");
        a.try_grow(150).expect("a quarter of all");
        let error = a.try_grow(1).expect_err("what others may need");
        assert!(error.to_string().contains("ExternalSorter[0] holds 250 bytes, asks for 1 more, and 0 of 1000 are left for it"), "{error}");
        b.try_grow(300).expect("a batch that is larger than its share");
        b.try_grow(1).expect_err("and no more");
        merge.try_grow(100).expect("the first run");
        merge.try_grow(300).expect("a merge's share");
        merge.try_grow(1).expect_err("nor a merge");
        let table = MemoryConsumer::new("HashJoinInput").register(&pool);
        table.try_grow(50).expect("the rest");
        table.try_grow(1).expect_err("nothing is left");
        drop((a, b, merge));
        table.try_grow(950).expect("what others have given back");
        assert_eq!(pool.reserved(), 1000);
    }
}
