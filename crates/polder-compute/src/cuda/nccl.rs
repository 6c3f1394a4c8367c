//! Ranks with a GPU each: NCCL carries their numbers from GPU to GPU.
//!
//! The ranks have met over TCP before ([`TcpRank`]), which tells the id that NCCL needs and notices when a rank leaves. The numbers are staged:
//! what the backend downloads is copied to a buffer on the GPU, goes through NCCL, and is copied back and uploaded. A backend whose views are
//! memory of the GPU hands NCCL its own pointers instead, and this buffer goes.
//!
//! NCCL adds in an order of its own: the sums of gradients are the same on all ranks and not the bits of [`TcpRank`]. Sums of the host's
//! numbers are gathered and added in order of ranks. So far this has run with one GPU at most.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DriverError};
use cudarc::nccl::{Comm, Id, ReduceOp, group_end, group_start, result::NcclError, sys};
use polder_base::Advice;
use thiserror::Error;

use super::{Probe, probe};
use crate::collective::sum_of_ranks;
use crate::{Backend, Collective, CollectiveError, RankPlace, TcpRank, View};

/// Why ranks cannot have a GPU each.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NcclUnavailable {
    /// There is no driver, or no GPU.
    #[error("there is no GPU on this host")]
    NoGpu,
    /// The driver refuses.
    #[error("the CUDA driver refuses: {reason}")]
    Driver {
        /// What it says.
        reason: String,
    },
    /// More ranks than GPUs; NCCL refuses two ranks on one.
    #[error("{n_ranks} ranks run on this host, which has {n_gpus} GPUs")]
    TooFewGpus {
        /// GPUs of this host.
        n_gpus: usize,
        /// Ranks on it.
        n_ranks: usize,
    },
    /// The library is missing.
    #[error("no NCCL library is among those that the loader finds (looked for libnccl.so and libnccl.so.13)")]
    NoLibrary,
}

impl Advice for NcclUnavailable {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoGpu | Self::Driver { .. } => "Install NVIDIA's driver, and look again with `polder-gpu devices`.".into(),
            Self::TooFewGpus { n_gpus, .. } => format!("Start at most {n_gpus} ranks on this host."),
            Self::NoLibrary => {
                "Install NVIDIA's NCCL (the package libnccl-dev has libnccl.so); where only libnccl.so.2 is there, link libnccl.so to it in a \
                 folder of LD_LIBRARY_PATH. More than one GPU is untested so far."
                    .into()
            }
        })
    }
}

/// Which GPU a rank takes: `LOCAL_RANK`, or the rank modulo the number of GPUs.
///
/// # Errors
/// There is no driver, no GPU for each rank of this host, or no NCCL library.
pub fn gpu_of(place: &RankPlace) -> Result<usize, NcclUnavailable> {
    let n_gpus = match probe() {
        Probe::Found(gpus) => gpus.len(),
        Probe::NoDriver => 0,
        Probe::Unusable(reason) => return Err(NcclUnavailable::Driver { reason }),
    };
    pick(place, n_gpus, has_library)
}

fn pick(place: &RankPlace, n_gpus: usize, has_library: impl Fn() -> bool) -> Result<usize, NcclUnavailable> {
    if n_gpus == 0 {
        return Err(NcclUnavailable::NoGpu);
    }
    let gpu = place.local_rank.unwrap_or(place.rank % n_gpus);
    if n_gpus < place.n_local_ranks || gpu >= n_gpus {
        return Err(NcclUnavailable::TooFewGpus { n_gpus, n_ranks: place.n_local_ranks.max(gpu + 1) });
    }
    if has_library() { Ok(gpu) } else { Err(NcclUnavailable::NoLibrary) }
}

fn has_library() -> bool {
    // SAFETY: only asks the loader whether the library opens, as the program would open it; cudarc panics on a missing one.
    unsafe { sys::is_culib_present() }
}

/// A process that is a rank and has a GPU. Dropping it tells the others that it will not answer.
pub struct NcclRank {
    // Dropped first: ends what is under way on the GPU.
    comm: Comm,
    stream: Arc<CudaStream>,
    /// Where numbers stand on the GPU between the backend and NCCL.
    staged: CudaSlice<f32>,
    ranks: TcpRank,
}

// SAFETY: NCCL lets any one thread at a time use a communicator; `&mut self` and no sharing (`NcclRank` is not `Sync`) see to that, and every
// use binds the GPU's context to its thread first.
unsafe impl Send for NcclRank {}

impl NcclRank {
    /// Connects the GPUs of ranks that have met; all of them call it, each with the GPU that [`gpu_of`] gave it.
    ///
    /// # Errors
    /// A GPU cannot be used, or NCCL does not connect them.
    pub fn try_new(mut ranks: TcpRank, gpu: usize) -> Result<Self, CollectiveError> {
        let open = || {
            let stream = CudaContext::new(gpu)?.default_stream();
            let staged = stream.alloc_zeros::<f32>(1)?;
            Ok((stream, staged))
        };
        let opened = open().map_err(|e| driver_error("open a GPU", e));
        // Nobody waits in NCCL for one that does not come.
        let all_opened = ranks.all(opened.is_ok())?;
        let (stream, staged) = opened?;
        if !all_opened {
            return Err(CollectiveError::Left { n_ranks: ranks.n_ranks() });
        }
        let mut id = [0u8; 128];
        if ranks.rank() == 0 {
            let made = Id::new().map_err(|e| nccl_error("make an id", &e))?;
            id = made.internal().map(|byte| byte as u8);
        }
        ranks.tell(&mut id)?;
        let id = Id::uninit(id.map(|byte| byte as std::ffi::c_char));
        let comm = Comm::from_rank(stream.clone(), ranks.rank(), ranks.n_ranks(), id).map_err(|e| nccl_error("connect", &e))?;
        Ok(Self { comm, stream, staged, ranks })
    }

    /// Makes the buffer long enough, and copies numbers into it.
    fn stage(&mut self, numbers: &[f32]) -> Result<(), DriverError> {
        self.stream.context().bind_to_thread()?;
        if self.staged.len() < numbers.len() {
            self.staged = self.stream.alloc_zeros(numbers.len())?;
        }
        if numbers.is_empty() { Ok(()) } else { self.stream.memcpy_htod(numbers, &mut self.staged) }
    }

    /// Does something for each rank's part of the buffer as one operation.
    fn for_each_part(
        &mut self,
        owners: &[Range<usize>],
        step: &'static str,
        each: impl Fn(&Comm, &mut cudarc::driver::CudaViewMut<'_, f32>, i32) -> Result<(), NcclError>,
    ) -> Result<(), CollectiveError> {
        group_start().map_err(|e| nccl_error(step, &e))?;
        let mut asked = Ok(());
        for (rank, owned) in owners.iter().enumerate().filter(|(_, owned)| !owned.is_empty()) {
            let Some(mut part) = self.staged.try_slice_mut(owned.clone()) else { continue };
            asked = asked.and_then(|()| each(&self.comm, &mut part, rank as i32));
        }
        // A group that was begun is ended whatever happened in it.
        let ended = group_end();
        asked.and(ended.map(drop)).map_err(|e| nccl_error(step, &e))?;
        self.wait(step)
    }

    /// Waits for the GPU, and no longer once another rank has left.
    fn wait(&self, step: &'static str) -> Result<(), CollectiveError> {
        let driver = |e| driver_error(step, e);
        let event = self.stream.record_event(None).map_err(driver)?;
        let started = Instant::now();
        let mut pause = Duration::from_micros(10);
        while !event.try_is_complete().map_err(driver)? {
            if started.elapsed() > self.ranks.patience() {
                return Err(CollectiveError::Device { step, reason: format!("no answer for {} s", self.ranks.patience().as_secs()) });
            }
            if pause > Duration::from_millis(1) && self.ranks.somebody_left() {
                return Err(CollectiveError::Left { n_ranks: self.ranks.n_ranks() });
            }
            std::thread::sleep(pause);
            pause = (2 * pause).min(Duration::from_millis(2));
        }
        Ok(())
    }
}

fn driver_error(step: &'static str, error: DriverError) -> CollectiveError {
    CollectiveError::Device { step, reason: format!("{error:?}") }
}

fn nccl_error(step: &'static str, error: &NcclError) -> CollectiveError {
    CollectiveError::Device { step, reason: format!("{:?}", error.0) }
}

impl<B: Backend> Collective<B> for NcclRank {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn n_ranks(&self) -> usize {
        self.ranks.n_ranks()
    }

    fn sum_to_owners(&mut self, backend: &mut B, data: View, owners: &[Range<usize>]) -> Result<(), CollectiveError> {
        let step = "sum";
        let mut numbers = vec![0f32; data.len];
        backend.download(data, &mut numbers);
        self.stage(&numbers).map_err(|e| driver_error(step, e))?;
        self.for_each_part(owners, step, |comm, part, owner| comm.reduce_in_place(part, &ReduceOp::Sum, owner).map(drop))?;
        let own = &owners[self.ranks.rank()];
        fetch(&self.stream, &self.staged, own, &mut numbers[own.clone()]).map_err(|e| driver_error(step, e))?;
        backend.upload(data.part(own.start, own.len()), &numbers[own.clone()]);
        Ok(())
    }

    fn share_from_owners(&mut self, backend: &mut B, data: View, owners: &[Range<usize>]) -> Result<(), CollectiveError> {
        let step = "share";
        let mut numbers = vec![0f32; data.len];
        backend.download(data, &mut numbers);
        self.stage(&numbers).map_err(|e| driver_error(step, e))?;
        self.for_each_part(owners, step, |comm, part, owner| comm.broadcast_in_place(part, owner).map(drop))?;
        fetch(&self.stream, &self.staged, &(0..data.len), &mut numbers).map_err(|e| driver_error(step, e))?;
        backend.upload(data, &numbers);
        Ok(())
    }

    fn sum(&mut self, values: &mut [f64]) -> Result<(), CollectiveError> {
        let step = "gather";
        if values.is_empty() {
            return Ok(());
        }
        let driver = |e| driver_error(step, e);
        let given = self.stream.clone_htod(&*values).map_err(driver)?;
        let mut gathered = self.stream.alloc_zeros::<f64>(self.ranks.n_ranks() * values.len()).map_err(driver)?;
        self.comm.all_gather(&given, &mut gathered).map_err(|e| nccl_error(step, &e))?;
        self.wait(step)?;
        let gathered = self.stream.clone_dtoh(&gathered).map_err(driver)?;
        self.stream.synchronize().map_err(driver)?;
        let given: Vec<Vec<f64>> = gathered.chunks(values.len()).map(<[f64]>::to_vec).collect();
        sum_of_ranks(&given, values);
        Ok(())
    }
}

/// Copies a part of the buffer to the host.
fn fetch(stream: &Arc<CudaStream>, staged: &CudaSlice<f32>, part: &Range<usize>, numbers: &mut [f32]) -> Result<(), DriverError> {
    match staged.try_slice(part.clone()) {
        Some(view) if !part.is_empty() => stream.memcpy_dtoh(&view, numbers).and_then(|()| stream.synchronize()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Dtype, Patience};

    fn place(rank: usize, n_local_ranks: usize, local_rank: Option<usize>) -> RankPlace {
        RankPlace { rank, n_ranks: 8, local_rank, n_local_ranks, host: "127.0.0.1".into(), port: 0 }
    }

    #[test]
    fn each_rank_of_a_host_takes_its_own_gpu() {
        let with = |place: &RankPlace, n_gpus| pick(place, n_gpus, || true);
        assert_eq!((with(&place(5, 4, None), 4), with(&place(5, 4, Some(3)), 4)), (Ok(1), Ok(3)));
        assert_eq!(with(&place(1, 8, None), 4), Err(NcclUnavailable::TooFewGpus { n_gpus: 4, n_ranks: 8 }));
        assert_eq!(with(&place(1, 1, Some(4)), 4), Err(NcclUnavailable::TooFewGpus { n_gpus: 4, n_ranks: 5 }));
        assert_eq!(with(&place(1, 2, None), 0), Err(NcclUnavailable::NoGpu));
    }

    #[test]
    fn without_the_library_the_error_says_what_was_looked_for_and_what_to_install() {
        let error = pick(&place(0, 2, None), 2, || false).expect_err("no library");
        let hint = error.hint().expect("hint");
        assert!(error.to_string().contains("libnccl.so"), "{error}");
        assert!(hint.contains("libnccl-dev") && hint.contains("libnccl.so.2") && hint.contains("untested"), "{hint}");
        // The question itself never panics, whatever is installed.
        println!("an NCCL library is there: {}", has_library());
    }

    #[test]
    fn one_rank_with_a_gpu_keeps_its_numbers() {
        let alone = RankPlace { n_ranks: 1, ..place(0, 1, None) };
        let gpu = match gpu_of(&alone) {
            Ok(gpu) => gpu,
            Err(why) => {
                assert!(std::env::var_os("POLDER_REQUIRE_GPU").is_none_or(|v| v != "1"), "a GPU and NCCL are required: {why}");
                eprintln!("skipped: {why}");
                return;
            }
        };
        let ranks = TcpRank::meet(&alone, Patience::default()).expect("alone");
        let mut rank = NcclRank::try_new(ranks, gpu).expect("connected");
        let mut cpu = Cpu::new();
        let view = cpu.alloc(1000, Dtype::F32);
        let values: Vec<f32> = (0..1000).map(|i| i as f32 / 3.0).collect();
        cpu.upload(view, &values);
        for len in [1000, 1, 600, 0] {
            let (part, owners) = (view.part(0, len), [Range { start: 0, end: len }]);
            rank.sum_to_owners(&mut cpu, part, &owners).expect("sum");
            rank.share_from_owners(&mut cpu, part, &owners).expect("share");
        }
        assert_eq!(cpu.slice(view), values);
        let mut sums = [0.1, -3.0];
        Collective::<Cpu>::sum(&mut rank, &mut sums).expect("sum");
        assert_eq!(sums, [0.1, -3.0]);
    }
}
