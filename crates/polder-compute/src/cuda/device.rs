//! What runs kernels: a GPU through its driver, or the emulation of one.

use std::ffi::c_void;
use std::fmt;

use super::table::{Argument, Pointer, Row};
use crate::Dtype;

/// What a device cannot do.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// There is no CUDA driver.
    #[error("there is no CUDA driver on this machine")]
    NoDriver,
    /// There is no GPU of that number.
    #[error("there is no GPU {ordinal}")]
    NoGpu {
        /// Its place in the driver's list.
        ordinal: usize,
    },
    /// The GPU is older than the kernels.
    #[error("GPU {ordinal}, {name}, has compute capability {}.{}; kernels need 8.0", capability.0, capability.1)]
    TooOld {
        /// Its place in the driver's list.
        ordinal: usize,
        /// What the driver calls it.
        name: String,
        /// What it can do.
        capability: (i32, i32),
    },
    /// The driver is older than the kernels.
    #[error("the driver is of CUDA {}.{}; the kernels need 13.0", driver / 1000, driver % 1000 / 10)]
    OldDriver {
        /// The newest CUDA that it knows, such as 12080 for 12.8.
        driver: i32,
    },
    /// Its memory does not suffice.
    #[error("the GPU has {} of memory free where {} are needed", polder_base::units::bytes(*free), polder_base::units::bytes(*needed))]
    Memory {
        /// Bytes wanted.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The kernels in the program cannot be loaded.
    #[error("cannot load the kernels of `{file}`")]
    Load {
        /// The source below `kernels/`.
        file: &'static str,
        /// What the driver says.
        source: Box<CudaError>,
    },
    /// The driver refuses.
    #[error("{step} failed: {reason}")]
    Driver {
        /// What was asked of it.
        step: &'static str,
        /// What it says.
        reason: String,
    },
    /// A kernel failed.
    #[error("kernel `{entry}` over {grid:?} blocks failed: {reason}")]
    Launch {
        /// Its entry point.
        entry: String,
        /// Blocks.
        grid: [i64; 3],
        /// What the driver, or the emulation, says.
        reason: String,
    },
}

impl polder_base::Advice for CudaError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoDriver | Self::NoGpu { .. } => {
                "`polder-gpu devices` lists the GPUs; without one, leave --device out to work on the processor.".to_owned()
            }
            Self::TooOld { .. } => "Work on the processor, or take a GPU of the Ampere generation or later.".to_owned(),
            Self::Memory { .. } => {
                "Take a smaller --set micro_batch_size, or --set recompute=layers; `polder model plan` counts what fits.".to_owned()
            }
            Self::OldDriver { .. } => "Install NVIDIA's driver 580 or later, or work on the processor: --device cpu.".to_owned(),
            Self::Load { .. } => "The kernels need a driver of CUDA 13 (580 or later); `nvidia-smi` says which one there is.".to_owned(),
            Self::Driver { .. } | Self::Launch { .. } => {
                "`polder-gpu kernels check` runs every kernel against the processor's results.".to_owned()
            }
        })
    }
}

/// What the copy engine is told of a tensor in global memory: 128 bytes that only a driver writes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct TensorMap(pub [u64; 16]);

impl fmt::Debug for TensorMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TensorMap")
    }
}

/// A matrix of bf16 in global memory, and the box of it that a copy takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tiled {
    /// Its first number; aligned to 16 bytes.
    pub base: Pointer,
    /// Sizes, the contiguous one first; those unused are 1.
    pub sizes: [u64; 4],
    /// Bytes from one to the next of each dimension but the first; multiples of 16.
    pub strides_bytes: [u64; 3],
    /// Dimensions in use.
    pub n_dims: usize,
    /// Numbers of a copy in each dimension; the first is 64 at most, 128 bytes, whose 16-byte parts are swizzled.
    pub copied: [u32; 4],
}

/// A call of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The kernel's row.
    pub row: &'static Row,
    /// The variant.
    pub types: &'a [Dtype],
    /// Blocks.
    pub grid: [i64; 3],
    /// Bytes of dynamic shared memory.
    pub shared: usize,
    /// Bytes that it must move at least.
    pub bytes: f64,
    /// Operations of its matrix products.
    pub flop: f64,
    /// Its arguments.
    pub arguments: &'a [Argument],
}

/// A call of a kernel and how long the device took for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// Its entry point.
    pub entry: String,
    /// By the device's clock.
    pub seconds: f64,
    /// Bytes that it had to move.
    pub bytes: f64,
    /// Operations of its matrix products.
    pub flop: f64,
}

/// What runs kernels. Work is ordered as it is called; only copies to the host wait.
pub trait Device: Send {
    /// What it is called.
    fn name(&self) -> &str;

    /// Compute capability, such as (9, 0).
    fn capability(&self) -> (i32, i32);

    /// Multiprocessors.
    fn n_multiprocessors(&self) -> usize;

    /// Bytes of memory that are free.
    fn free_bytes(&self) -> u64;

    /// Whether memory should be asked for in the sizes that are needed, for whoever reads or writes behind it to be caught.
    fn is_exact(&self) -> bool {
        false
    }

    /// Takes memory, aligned to 256 bytes; it is held until the device is dropped.
    ///
    /// # Errors
    /// There is not enough.
    fn alloc(&mut self, bytes: usize) -> Result<Pointer, CudaError>;

    /// Gives all memory back.
    ///
    /// # Errors
    /// Something called before has failed.
    fn free_all(&mut self) -> Result<(), CudaError>;

    /// Copies bytes in.
    ///
    /// # Errors
    /// The device fails.
    fn copy_in(&mut self, to: Pointer, bytes: &[u8]) -> Result<(), CudaError>;

    /// Copies bytes out, after everything that was called before.
    ///
    /// # Errors
    /// The device fails, or something called before has failed.
    fn copy_out(&mut self, from: Pointer, bytes: &mut [u8]) -> Result<(), CudaError>;

    /// Describes a tensor for the copy engine.
    ///
    /// # Errors
    /// The driver refuses it.
    fn tensor_map(&mut self, tensor: Tiled) -> Result<TensorMap, CudaError>;

    /// Calls a kernel.
    ///
    /// # Errors
    /// The device refuses it; on the emulation, whatever goes wrong while it runs.
    fn launch(&mut self, launch: &Launch<'_>) -> Result<(), CudaError>;

    /// From here on calls of kernels are put down and not made, until [`Device::end_capture`]; says whether this device can do so.
    ///
    /// # Errors
    /// The device refuses.
    fn begin_capture(&mut self) -> Result<bool, CudaError> {
        Ok(false)
    }

    /// Ends it, and returns the number of what was put down.
    ///
    /// # Errors
    /// Something between cannot be put down.
    fn end_capture(&mut self) -> Result<usize, CudaError> {
        Err(CudaError::Driver { step: "putting calls down", reason: "this device cannot".to_owned() })
    }

    /// Makes the calls that were put down.
    ///
    /// # Errors
    /// The device refuses.
    fn launch_captured(&mut self, number: usize) -> Result<(), CudaError> {
        Err(CudaError::Driver { step: "making the calls put down", reason: format!("there are none of number {number}") })
    }

    /// Whether calls are measured: then each has to be made by itself.
    fn is_timing(&self) -> bool {
        false
    }

    /// Begins to measure every call of a kernel by itself; what was measured before is forgotten.
    fn begin_timing(&mut self) {}

    /// Ends it, and returns the calls in their order. Devices that have no clock return nothing.
    ///
    /// # Errors
    /// Something called before has failed.
    fn end_timing(&mut self) -> Result<Vec<Timed>, CudaError> {
        Ok(Vec::new())
    }

    /// The stream that work goes to, for libraries that add to it; its GPU is made the thread's own. An emulation has none.
    fn stream(&self) -> Option<*mut c_void> {
        None
    }

    /// Waits until everything that was called is done.
    ///
    /// # Errors
    /// Something called before has failed.
    fn wait(&mut self) -> Result<(), CudaError>;
}
