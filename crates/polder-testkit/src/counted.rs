//! The emulated GPU with a count of what the host asks of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use polder_compute::cuda::{Cuda, CudaError, Device, Emulated, Launch, Pointer, TensorMap, Tiled};

/// What was asked of a device so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Times that memory was taken.
    pub allocations: usize,
    /// Copies to it.
    pub copies_in: usize,
    /// Copies from it, each of which waits.
    pub copies_out: usize,
    /// Calls of kernels that were made one by one.
    pub launches: usize,
    /// Calls that were put down, and then made all at once.
    pub replays: usize,
}

impl std::ops::Sub for Asked {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            allocations: self.allocations - before.allocations,
            copies_in: self.copies_in - before.copies_in,
            copies_out: self.copies_out - before.copies_out,
            launches: self.launches - before.launches,
            replays: self.replays - before.replays,
        }
    }
}

/// Looks at the counts of a device that is in use.
#[derive(Clone, Default)]
pub struct Counts(Arc<[AtomicUsize; 5]>);

impl Counts {
    /// What was asked so far.
    pub fn asked(&self) -> Asked {
        let [allocations, copies_in, copies_out, launches, replays] = [0, 1, 2, 3, 4].map(|i| self.0[i].load(Ordering::Relaxed));
        Asked { allocations, copies_in, copies_out, launches, replays }
    }

    fn add(&self, which: usize) {
        self.0[which].fetch_add(1, Ordering::Relaxed);
    }
}

/// An emulation that counts; unlike a bare one, it gives memory in the blocks that a GPU gives it in.
struct Counted {
    inner: Emulated,
    counts: Counts,
    is_capturing: bool,
}

impl Device for Counted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capability(&self) -> (i32, i32) {
        self.inner.capability()
    }

    fn n_multiprocessors(&self) -> usize {
        self.inner.n_multiprocessors()
    }

    fn free_bytes(&self) -> u64 {
        self.inner.free_bytes()
    }

    fn alloc(&mut self, bytes: usize) -> Result<Pointer, CudaError> {
        self.counts.add(0);
        self.inner.alloc(bytes)
    }

    fn free_all(&mut self) -> Result<(), CudaError> {
        self.inner.free_all()
    }

    fn copy_in(&mut self, to: Pointer, bytes: &[u8]) -> Result<(), CudaError> {
        self.counts.add(1);
        self.inner.copy_in(to, bytes)
    }

    fn copy_out(&mut self, from: Pointer, bytes: &mut [u8]) -> Result<(), CudaError> {
        self.counts.add(2);
        self.inner.copy_out(from, bytes)
    }

    fn tensor_map(&mut self, tensor: Tiled) -> Result<TensorMap, CudaError> {
        self.inner.tensor_map(tensor)
    }

    fn launch(&mut self, launch: &Launch<'_>) -> Result<(), CudaError> {
        if !self.is_capturing {
            self.counts.add(3);
        }
        self.inner.launch(launch)
    }

    fn begin_capture(&mut self) -> Result<bool, CudaError> {
        self.is_capturing = true;
        self.inner.begin_capture()
    }

    fn end_capture(&mut self) -> Result<usize, CudaError> {
        self.is_capturing = false;
        self.inner.end_capture()
    }

    fn launch_captured(&mut self, number: usize) -> Result<(), CudaError> {
        self.counts.add(4);
        self.inner.launch_captured(number)
    }

    fn wait(&mut self) -> Result<(), CudaError> {
        self.inner.wait()
    }
}

/// [`emulated_gpu`](crate::emulated_gpu) with a look at what is asked of it, opened with so many bytes of memory.
///
/// # Panics
/// As that does.
pub fn counted_gpu(capability: (i32, i32), seed: u64, bytes: u64) -> Option<(Cuda, Counts)> {
    let counts = Counts::default();
    let device = Counted { inner: crate::emulation(capability, seed)?, counts: counts.clone(), is_capturing: false };
    Some((Cuda::on(Box::new(device), bytes).expect("backend"), counts))
}
