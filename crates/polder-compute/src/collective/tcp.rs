//! Ranks as processes, on one host or several, connected to the first one by TCP.
//!
//! All numbers pass through the first rank, which adds them in order of ranks: slow for many hosts, and the same bits as
//! [`LocalRank`](super::LocalRank). Where each rank has a GPU, [`NcclRank`](crate::cuda::NcclRank) carries the large ones instead.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::time::Duration;

use super::rendezvous::{gather, join};
use super::{Collective, CollectiveError, Patience, RankPlace, RendezvousError, add, sum_of_ranks};
use crate::{Backend, View};

/// A process that is a rank. Dropping it tells the others that it will not answer.
pub struct TcpRank {
    rank: usize,
    n_ranks: usize,
    /// The first rank's connections to all others in their order; of the others, the one to the first.
    peers: Vec<Peer>,
    /// A connection has failed, and none is left.
    is_closed: bool,
    answer: Duration,
}

struct Peer {
    rank: usize,
    stream: TcpStream,
}

/// What ranks do together, as it stands before its numbers, so that ranks that do different things find out.
#[derive(Clone, Copy, PartialEq)]
#[repr(u64)]
enum Act {
    Sum = 1,
    SumToOwners = 2,
    Share = 3,
    Tell = 4,
}

impl TcpRank {
    /// Meets the other ranks where the variables say: the first one listens, the others connect.
    ///
    /// # Errors
    /// Those of meeting.
    pub fn meet(place: &RankPlace, patience: Patience) -> Result<Self, RendezvousError> {
        if place.n_ranks == 1 {
            return Self::try_new(0, 1, Vec::new(), patience);
        }
        if place.rank == 0 {
            return Self::gather(&place.listen()?, place.n_ranks, patience, &mut || true);
        }
        let stream = join(place, patience.gather)?;
        Self::try_new(place.rank, place.n_ranks, vec![Peer { rank: 0, stream }], patience)
    }

    /// Waits as the first rank on a port that already listens, as long as `go_on` says so.
    ///
    /// # Errors
    /// Those of meeting.
    pub fn gather(
        listener: &TcpListener,
        n_ranks: usize,
        patience: Patience,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Self, RendezvousError> {
        let streams = gather(listener, n_ranks, patience.gather, go_on)?;
        let peers = streams.into_iter().enumerate().map(|(i, stream)| Peer { rank: i + 1, stream }).collect();
        Self::try_new(0, n_ranks, peers, patience)
    }

    fn try_new(rank: usize, n_ranks: usize, peers: Vec<Peer>, patience: Patience) -> Result<Self, RendezvousError> {
        for Peer { rank, stream } in &peers {
            let failed = |source| RendezvousError::Connection { rank: *rank, source };
            stream.set_nodelay(true).map_err(failed)?;
            stream.set_read_timeout(Some(patience.answer)).map_err(failed)?;
            stream.set_write_timeout(Some(patience.answer)).map_err(failed)?;
        }
        Ok(Self { rank, n_ranks, peers, is_closed: false, answer: patience.answer })
    }

    /// This rank, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many there are.
    pub fn n_ranks(&self) -> usize {
        self.n_ranks
    }

    /// How long this rank waits for what another one has to say.
    pub(crate) fn patience(&self) -> Duration {
        self.answer
    }

    /// Whether every rank says yes.
    ///
    /// # Errors
    /// Another rank does not answer.
    pub fn all(&mut self, yes: bool) -> Result<bool, CollectiveError> {
        let mut votes = [f64::from(u8::from(yes))];
        self.sum_numbers(&mut votes)?;
        Ok(votes[0] as usize == self.n_ranks)
    }

    /// Copies bytes of the first rank to all others.
    pub(crate) fn tell(&mut self, bytes: &mut [u8]) -> Result<(), CollectiveError> {
        if self.rank == 0 { self.send(Act::Tell, &[bytes]) } else { self.receive(Act::Tell, 0, bytes) }
    }

    /// Whether a rank that this one is connected to is gone; asks the system and waits for nothing.
    pub(crate) fn somebody_left(&self) -> bool {
        // Bytes that wait to be read are as good as none: the other end is there.
        let is_there = |stream: &TcpStream| {
            let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
            stream.set_nonblocking(false).is_ok() && looked.map_or_else(|e| e.kind() == io::ErrorKind::WouldBlock, |n| n > 0)
        };
        self.is_closed || !self.peers.iter().all(|peer| is_there(&peer.stream))
    }

    /// What a failed connection means. Nothing can be done together any more, and the others learn it at once.
    fn fail(&mut self, rank: usize, source: &io::Error) -> CollectiveError {
        self.close();
        match source.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
            | io::ErrorKind::BrokenPipe => CollectiveError::Left { n_ranks: self.n_ranks },
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => CollectiveError::Silent { rank, seconds: self.answer.as_secs() },
            io::ErrorKind::InvalidData => CollectiveError::OutOfStep { rank },
            _ => CollectiveError::Connection { rank, reason: source.to_string() },
        }
    }

    fn close(&mut self) {
        self.is_closed = true;
        // One that is closed already is what is wanted.
        self.peers.drain(..).for_each(|peer| drop(peer.stream.shutdown(Shutdown::Both)));
    }

    /// Sends parts as one message to every rank that this one is connected to.
    fn send(&mut self, act: Act, parts: &[&[u8]]) -> Result<(), CollectiveError> {
        if self.is_closed {
            return Err(CollectiveError::Left { n_ranks: self.n_ranks });
        }
        (0..self.peers.len()).try_for_each(|i| self.send_to(i, act, parts))
    }

    fn send_to(&mut self, i: usize, act: Act, parts: &[&[u8]]) -> Result<(), CollectiveError> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let Some(Peer { rank, stream }) = self.peers.get_mut(i) else { return Err(CollectiveError::Left { n_ranks: self.n_ranks }) };
        let mut write = || {
            stream.write_all(bytemuck::bytes_of(&[act as u64, len as u64]))?;
            parts.iter().try_for_each(|part| stream.write_all(part))
        };
        let (rank, result) = (*rank, write());
        result.map_err(|e| self.fail(rank, &e))
    }

    /// Receives a message of known length from the peer at a place.
    fn receive(&mut self, act: Act, i: usize, bytes: &mut [u8]) -> Result<(), CollectiveError> {
        let Some(Peer { rank, stream }) = self.peers.get_mut(i) else { return Err(CollectiveError::Left { n_ranks: self.n_ranks }) };
        let mut read = || {
            let mut head = [0u64; 2];
            stream.read_exact(bytemuck::bytes_of_mut(&mut head))?;
            if head != [act as u64, bytes.len() as u64] {
                return Err(io::ErrorKind::InvalidData.into());
            }
            stream.read_exact(bytes)
        };
        let (rank, result) = (*rank, read());
        result.map_err(|e| self.fail(rank, &e))
    }

    /// Makes numbers of the host their sums over all ranks, the same bits on each.
    pub(crate) fn sum_numbers(&mut self, values: &mut [f64]) -> Result<(), CollectiveError> {
        if self.n_ranks == 1 {
            return Ok(());
        }
        if self.rank > 0 {
            self.send(Act::Sum, &[bytemuck::cast_slice(values)])?;
            return self.receive(Act::Sum, 0, bytemuck::cast_slice_mut(values));
        }
        let mut given = vec![values.to_vec()];
        for i in 0..self.n_ranks - 1 {
            let mut numbers = vec![0f64; values.len()];
            self.receive(Act::Sum, i, bytemuck::cast_slice_mut(&mut numbers))?;
            given.push(numbers);
        }
        sum_of_ranks(&given, values);
        self.send(Act::Sum, &[bytemuck::cast_slice(values)])
    }
}

impl<B: Backend> Collective<B> for TcpRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn n_ranks(&self) -> usize {
        self.n_ranks
    }

    fn sum_to_owners(&mut self, backend: &mut B, data: View, owners: &[Range<usize>]) -> Result<(), CollectiveError> {
        let own = owners[self.rank].clone();
        let mut numbers = vec![0f32; data.len];
        backend.download(data, &mut numbers);
        let mut sums = vec![0f32; own.len()];
        if self.rank > 0 {
            let parts: Vec<&[u8]> = owners.iter().map(|owned| bytemuck::cast_slice(&numbers[owned.clone()])).collect();
            self.send(Act::SumToOwners, &parts)?;
            self.receive(Act::SumToOwners, 0, bytemuck::cast_slice_mut(&mut sums))?;
        } else {
            let mut all: Vec<Vec<f32>> = owners.iter().map(|owned| vec![0f32; owned.len()]).collect();
            for (sums, owned) in all.iter_mut().zip(owners) {
                add(sums, numbers[owned.clone()].iter().copied());
            }
            let mut given = vec![0f32; all.iter().map(Vec::len).sum()];
            for i in 0..self.n_ranks - 1 {
                self.receive(Act::SumToOwners, i, bytemuck::cast_slice_mut(&mut given))?;
                let mut numbers = given.iter().copied();
                for sums in &mut all {
                    let n = sums.len();
                    add(sums, numbers.by_ref().take(n));
                }
            }
            for (i, sums) in all[1..].iter().enumerate() {
                self.send_to(i, Act::SumToOwners, &[bytemuck::cast_slice(sums)])?;
            }
            sums = all.swap_remove(0);
        }
        backend.upload(data.part(own.start, own.len()), &sums);
        Ok(())
    }

    fn share_from_owners(&mut self, backend: &mut B, data: View, owners: &[Range<usize>]) -> Result<(), CollectiveError> {
        let mut parts: Vec<Vec<f32>> = owners.iter().map(|owned| vec![0f32; owned.len()]).collect();
        let own = &owners[self.rank];
        backend.download(data.part(own.start, own.len()), &mut parts[self.rank]);
        if self.rank > 0 {
            self.send(Act::Share, &[bytemuck::cast_slice(&parts[self.rank])])?;
            let mut all = vec![0f32; parts.iter().map(Vec::len).sum()];
            self.receive(Act::Share, 0, bytemuck::cast_slice_mut(&mut all))?;
            let mut rest = &all[..];
            for part in &mut parts {
                let (this, others) = rest.split_at(part.len());
                part.copy_from_slice(this);
                rest = others;
            }
        } else {
            for i in 0..self.n_ranks - 1 {
                self.receive(Act::Share, i, bytemuck::cast_slice_mut(&mut parts[i + 1]))?;
            }
            let all: Vec<&[u8]> = parts.iter().map(|part| bytemuck::cast_slice(part)).collect();
            self.send(Act::Share, &all)?;
        }
        for (part, owned) in parts.iter().zip(owners) {
            backend.upload(data.part(owned.start, owned.len()), part);
        }
        Ok(())
    }

    fn sum(&mut self, values: &mut [f64]) -> Result<(), CollectiveError> {
        self.sum_numbers(values)
    }
}

impl Drop for TcpRank {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Dtype, local_ranks};

    const PATIENCE: Patience = Patience { gather: Duration::from_secs(60), answer: Duration::from_secs(60) };

    /// Runs one closure a rank, each on its thread, connected over the loopback.
    fn together<R: Send>(n_ranks: usize, patience: Patience, work: impl Fn(TcpRank) -> R + Sync) -> Vec<R> {
        let mut place = RankPlace { rank: 0, n_ranks, local_rank: None, n_local_ranks: n_ranks, host: "127.0.0.1".into(), port: 0 };
        let listener = place.listen().expect("listen");
        place.port = listener.local_addr().expect("address").port();
        std::thread::scope(|scope| {
            let (work, listener) = (&work, &listener);
            let threads: Vec<_> = (0..n_ranks)
                .map(|rank| {
                    let place = RankPlace { rank, ..place.clone() };
                    scope.spawn(move || {
                        let met = if rank == 0 {
                            TcpRank::gather(listener, n_ranks, patience, &mut || true)
                        } else {
                            TcpRank::meet(&place, patience)
                        };
                        work(met.expect("met"))
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().expect("rank")).collect()
        })
    }

    /// What a rank sees of some operations on numbers that do not add up exactly: as bits.
    fn bits<C: Collective<Cpu>>(mut ranks: C) -> Vec<u64> {
        let (len, n_ranks) = (101, ranks.n_ranks());
        let mut random = polder_base::Random::new(ranks.rank() as u64, "numbers");
        let mut cpu = Cpu::new();
        let view = cpu.alloc(len, Dtype::F32);
        let mut seen = Vec::new();
        for round in 0..20 {
            let mut number = || random.below(1 << 40) as f64 / 3.0 - (1u64 << 38) as f64;
            let values: Vec<f32> = (0..len).map(|i| if i % 7 == 0 { -0.0 } else { number() as f32 }).collect();
            cpu.upload(view, &values);
            // Parts of other lengths each round, empty ones too.
            let bounds: Vec<usize> = (0..=n_ranks).map(|r| (r * r * len / (n_ranks * n_ranks)).max(r * round).min(len)).collect();
            let mut owners: Vec<Range<usize>> = bounds.windows(2).map(|w| w[0]..w[1]).collect();
            owners[n_ranks - 1].end = len;
            ranks.sum_to_owners(&mut cpu, view, &owners).expect("sum");
            seen.extend(cpu.slice(view).iter().map(|x| u64::from(x.to_bits())));
            ranks.share_from_owners(&mut cpu, view, &owners).expect("share");
            seen.extend(cpu.slice(view).iter().map(|x| u64::from(x.to_bits())));
            let mut sums = [number(), -0.0, number() * 1e-9];
            ranks.sum(&mut sums).expect("sum");
            seen.extend(sums.map(f64::to_bits));
        }
        seen
    }

    #[test]
    fn processes_get_the_same_bits_as_threads_of_one_process() {
        for n_ranks in [1, 2, 3, 5] {
            let local: Vec<Vec<u64>> = std::thread::scope(|scope| {
                let threads: Vec<_> = local_ranks(n_ranks).into_iter().map(|rank| scope.spawn(|| bits(rank))).collect();
                threads.into_iter().map(|t| t.join().expect("rank")).collect()
            });
            assert!(together(n_ranks, PATIENCE, bits) == local, "{n_ranks} ranks");
        }
    }

    #[test]
    fn ranks_vote_and_hear_what_the_first_one_tells() {
        let seen = together(3, PATIENCE, |mut rank| {
            let mut told = [rank.rank as u8; 5];
            rank.tell(&mut told).expect("told");
            let waits = !rank.somebody_left();
            (told, waits, rank.all(true).expect("vote"), {
                let rank_1 = rank.rank == 1;
                rank.all(!rank_1).expect("vote")
            })
        });
        assert_eq!(seen, [([0; 5], true, true, false); 3]);
    }

    #[test]
    fn a_rank_that_leaves_ends_the_waiting_of_the_others() {
        for leaves in 0..3 {
            let seen = together(3, PATIENCE, |mut rank| {
                if rank.rank == leaves {
                    return None;
                }
                // Who asks the system only learns it too.
                if rank.rank == 0 || leaves == 0 {
                    while !rank.somebody_left() {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                Some((rank.sum_numbers(&mut [1.0]), rank.sum_numbers(&mut [1.0])))
            });
            let left = Err(CollectiveError::Left { n_ranks: 3 });
            for (rank, seen) in seen.into_iter().enumerate() {
                assert_eq!(seen, (rank != leaves).then(|| (left.clone(), left.clone())), "rank {rank} while {leaves} leaves");
            }
        }
    }

    #[test]
    fn a_rank_that_is_silent_or_does_something_else_is_named() {
        let short = Patience { answer: Duration::from_millis(100), ..PATIENCE };
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let seen = together(2, short, |mut rank| {
            if rank.rank == 1 {
                wait.lock().expect("lock").recv().expect("the first has waited");
                return None;
            }
            let error = rank.sum_numbers(&mut [1.0]).expect_err("nobody answers");
            done.send(()).expect("send");
            Some(error)
        });
        assert_eq!(seen[0], Some(CollectiveError::Silent { rank: 1, seconds: 0 }));
        let seen =
            together(2, PATIENCE, |mut rank| if rank.rank == 0 { rank.all(true).map(drop) } else { rank.sum_numbers(&mut [1.0, 2.0]) });
        assert_eq!(seen[0], Err(CollectiveError::OutOfStep { rank: 1 }));
        assert!(seen[1].is_err());
    }
}
