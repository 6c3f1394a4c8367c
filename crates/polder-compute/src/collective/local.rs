//! Ranks as threads of one process, which meet in memory.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Collective, CollectiveError, add, sum_of_ranks};
use crate::{Backend, View};

/// A thread that is a rank. Dropping it tells the others that it will not answer.
pub struct LocalRank {
    rank: usize,
    meeting: Arc<Meeting>,
}

/// Makes the ranks of one process, one for each thread.
pub fn local_ranks(n_ranks: usize) -> Vec<LocalRank> {
    let table = Table { views: vec![Vec::new(); n_ranks], values: vec![Vec::new(); n_ranks], ..Table::default() };
    let meeting = Arc::new(Meeting { n_ranks, table: Mutex::new(table), turn: Condvar::new() });
    (0..n_ranks).map(|rank| LocalRank { rank, meeting: meeting.clone() }).collect()
}

/// Where ranks meet.
struct Meeting {
    n_ranks: usize,
    table: Mutex<Table>,
    turn: Condvar,
}

#[derive(Default)]
struct Table {
    /// What each rank has put down of its views, and of its host's numbers.
    views: Vec<Vec<f32>>,
    values: Vec<Vec<f64>>,
    n_arrived: usize,
    n_meetings: u64,
    has_left: bool,
}

impl Meeting {
    fn table(&self) -> MutexGuard<'_, Table> {
        // A rank that panicked while it held the table also leaves, which is what the others ask about.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all ranks have come.
    fn wait(&self) -> Result<(), CollectiveError> {
        let mut table = self.table();
        let meeting = table.n_meetings;
        table.n_arrived += 1;
        if table.n_arrived == self.n_ranks {
            (table.n_arrived, table.n_meetings) = (0, meeting + 1);
            self.turn.notify_all();
            return Ok(());
        }
        while table.n_meetings == meeting {
            if table.has_left {
                return Err(CollectiveError::Left { n_ranks: self.n_ranks });
            }
            table = self.turn.wait(table).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Each rank puts something on the table; each looks at what all have put there.
    fn exchange(&self, put: impl FnOnce(&mut Table), look: impl FnOnce(&Table)) -> Result<(), CollectiveError> {
        put(&mut self.table());
        self.wait()?;
        look(&self.table());
        // Nobody puts anew before all have looked.
        self.wait()
    }
}

impl<B: Backend> Collective<B> for LocalRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn n_ranks(&self) -> usize {
        self.meeting.n_ranks
    }

    fn sum_to_owners(&mut self, backend: &mut B, data: View, owners: &[Range<usize>]) -> Result<(), CollectiveError> {
        let own = owners[self.rank].clone();
        let mut sums = vec![0f32; own.len()];
        let (rank, given) = (self.rank, numbers(backend, data));
        let sum = |table: &Table| table.views.iter().for_each(|numbers| add(&mut sums, numbers[own.clone()].iter().copied()));
        self.meeting.exchange(|table| table.views[rank] = given, sum)?;
        backend.upload(data.part(own.start, own.len()), &sums);
        Ok(())
    }

    fn share_from_owners(&mut self, backend: &mut B, data: View, owners: &[Range<usize>]) -> Result<(), CollectiveError> {
        let own = owners[self.rank].clone();
        let (rank, given) = (self.rank, numbers(backend, data.part(own.start, own.len())));
        let mut parts = vec![0f32; data.len];
        let gather = |table: &Table| {
            for (numbers, owned) in table.views.iter().zip(owners) {
                parts[owned.clone()].copy_from_slice(numbers);
            }
        };
        self.meeting.exchange(|table| table.views[rank] = given, gather)?;
        backend.upload(data, &parts);
        Ok(())
    }

    fn sum(&mut self, values: &mut [f64]) -> Result<(), CollectiveError> {
        let (rank, given) = (self.rank, values.to_vec());
        self.meeting.exchange(|table| table.values[rank] = given, |table| sum_of_ranks(&table.values, values))
    }
}

fn numbers<B: Backend>(backend: &mut B, view: View) -> Vec<f32> {
    let mut out = vec![0f32; view.len];
    backend.download(view, &mut out);
    out
}

impl Drop for LocalRank {
    fn drop(&mut self) {
        self.meeting.table().has_left = true;
        self.meeting.turn.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Dtype};

    /// Runs one closure a rank, each on its thread with a backend and a view of `len` numbers.
    fn together<R: Send>(n_ranks: usize, len: usize, work: impl Fn(&mut LocalRank, &mut Cpu, View) -> R + Sync) -> Vec<R> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = local_ranks(n_ranks)
                .into_iter()
                .map(|mut rank| {
                    let work = &work;
                    scope.spawn(move || {
                        let mut cpu = Cpu::new();
                        let view = cpu.alloc(len, Dtype::F32);
                        let values: Vec<f32> = (0..len).map(|i| (10 * rank.rank + i) as f32).collect();
                        cpu.upload(view, &values);
                        work(&mut rank, &mut cpu, view)
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().expect("rank")).collect()
        })
    }

    #[test]
    fn each_owner_gets_the_sum_of_its_part_and_all_get_all_parts() {
        let owners = [0..2, 2..2, 2..5];
        let seen = together(3, 5, |rank, cpu, view| {
            rank.sum_to_owners(cpu, view, &owners).expect("sum");
            let summed = cpu.slice(view).to_vec();
            rank.share_from_owners(cpu, view, &owners).expect("share");
            (summed, cpu.slice(view).to_vec())
        });
        // 0 + 10 + 20, and so on by place.
        let sums = [30.0, 33.0, 36.0, 39.0, 42.0];
        assert_eq!(seen[0].0, [30.0, 33.0, 2.0, 3.0, 4.0]);
        assert_eq!(seen[1].0, [10.0, 11.0, 12.0, 13.0, 14.0]);
        assert_eq!(seen[2].0, [20.0, 21.0, 36.0, 39.0, 42.0]);
        assert!(seen.iter().all(|(_, shared)| *shared == sums));
    }

    #[test]
    fn numbers_of_the_host_are_summed_on_every_rank_again_and_again() {
        let seen = together(4, 0, |rank, _, _| {
            (0..100)
                .map(|i| {
                    let mut values = [rank.rank as f64, f64::from(i)];
                    Collective::<Cpu>::sum(rank, &mut values).expect("sum");
                    values
                })
                .collect::<Vec<_>>()
        });
        let expected: Vec<[f64; 2]> = (0..100).map(|i| [6.0, 4.0 * f64::from(i)]).collect();
        assert!(seen.iter().all(|s| *s == expected));
    }

    #[test]
    fn a_rank_that_leaves_ends_the_waiting_of_the_others() {
        let seen = together(3, 0, |rank, _, _| if rank.rank == 1 { Ok(()) } else { Collective::<Cpu>::sum(rank, &mut [1.0]) });
        assert_eq!(seen, [Err(CollectiveError::Left { n_ranks: 3 }), Ok(()), Err(CollectiveError::Left { n_ranks: 3 })]);
    }
}
