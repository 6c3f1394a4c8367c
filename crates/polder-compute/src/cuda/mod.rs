//! What NVIDIA GPUs are there, and how ranks that have one each work together. Their kernels live in `kernels/*.cu`.

mod activation;
mod adamw;
mod attention;
mod attention_sm90;
mod backend;
mod bias;
mod choice;
mod cross_entropy;
mod cublaslt;
mod device;
mod driver;
mod embedding;
mod emulated;
mod gemm;
mod gemm_sm90;
mod head_norm;
mod images;
mod muon;
mod nccl;
mod norm;
mod plain;
mod pool;
mod rope;
mod sample;
mod table;

use cudarc::driver::{result, sys};

pub use adamw::Segment;
pub use backend::{Cuda, GemmChoice};
pub use choice::{Chosen, Machine, MachineError};
pub use cublaslt::CublasLtError;
pub use device::{CudaError, Device, Launch, TensorMap, Tiled, Timed};
pub use driver::Driver;
pub use emulated::{Emulated, EmulationError, Watch, compile};
pub use gemm_sm90::{GemmPlan, gemm_planned};
pub use table::{Argument, Kind, Pointer, Row, table};

/// Room on a GPU beside counted buffers: for partial sums, ordered rows and the beginnings of buffers. Who needs more takes it when an operation is called
/// for the first time, before it is put down.
pub const SCRATCH_BYTES: u64 = 1 << 28;

pub use nccl::{NcclRank, NcclUnavailable, gpu_of};

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Its place in the driver's list.
    pub ordinal: usize,
    /// What the driver calls it.
    pub name: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Compute capability, such as (9, 0).
    pub capability: (i32, i32),
    /// The newest CUDA that its driver knows, such as 13000 for 13.0.
    pub driver: i32,
}

/// What was found when looking for GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// There is no CUDA driver on this machine.
    NoDriver,
    /// There is a driver, and it refuses.
    Unusable(String),
    /// The GPUs, possibly none.
    Found(Vec<Gpu>),
}

/// Looks for GPUs; a machine without a driver is an answer, not an error.
pub fn probe() -> Probe {
    // SAFETY: only asks the loader whether the library opens; it is checked before any other call, since cudarc
    // panics on a missing library.
    if !unsafe { sys::is_culib_present() } {
        return Probe::NoDriver;
    }
    match gpus() {
        Ok(found) => Probe::Found(found),
        // A driver library without a device (a container, a removed card) answers so.
        Err(result::DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => Probe::Found(Vec::new()),
        Err(e) => Probe::Unusable(format!("{e:?}")),
    }
}

fn gpus() -> Result<Vec<Gpu>, result::DriverError> {
    use sys::CUdevice_attribute::{
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
    };
    result::init()?;
    let mut driver = 0;
    // SAFETY: the driver writes one number.
    unsafe { sys::cuDriverGetVersion(&raw mut driver) }.result()?;
    let mut found = Vec::new();
    for ordinal in 0..result::device::get_count()? {
        let device = result::device::get(ordinal)?;
        // SAFETY: `device` was just returned by the driver for a valid ordinal.
        let (memory, major, minor) = unsafe {
            let attribute = |which| result::device::get_attribute(device, which);
            (result::device::total_mem(device)?, attribute(MAJOR)?, attribute(MINOR)?)
        };
        found.push(Gpu {
            ordinal: ordinal as usize,
            name: result::device::get_name(device)?,
            memory_bytes: memory as u64,
            capability: (major, minor),
            driver,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_for_gpus_always_gives_an_answer() {
        match probe() {
            Probe::NoDriver => println!("skipped: there is no CUDA driver on this machine"),
            Probe::Unusable(why) => println!("skipped: the CUDA driver refuses: {why}"),
            Probe::Found(gpus) => assert!(gpus.iter().all(|g| g.memory_bytes > 0 && !g.name.is_empty())),
        }
    }
}
