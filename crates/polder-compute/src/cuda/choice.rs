//! Which machine work runs on: a GPU where there is one that can, else the processor.

use std::str::FromStr;

use polder_base::Advice;

use super::{CublasLtError, Cuda, CudaError, GemmChoice, Gpu, Probe, images, probe};
use crate::{Backend, Cpu};

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Machine {
    /// The first GPU that can run the kernels, else the processor.
    #[default]
    Auto,
    /// The processor.
    Processor,
    /// A GPU by its place in the driver's list.
    Gpu(usize),
}

impl FromStr for Machine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is none of auto, cpu, gpu and gpu:N");
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Processor),
            None if text == "gpu" => Ok(Self::Gpu(0)),
            Some(("gpu", ordinal)) => ordinal.parse().map(Self::Gpu).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

/// Why a machine cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The GPU cannot.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// cuBLASLt cannot.
    #[error(transparent)]
    CublasLt(#[from] CublasLtError),
}

impl Advice for MachineError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Cuda(e) => e.hint(),
            Self::CublasLt(e) => e.hint(),
        }
    }
}

/// A machine that work can run on, and why it is that one.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// The processor; with what kept a GPU that is there from being it.
    Processor {
        /// Why no GPU was taken, where there is one.
        because: Option<String>,
    },
    /// A GPU.
    Gpu(Gpu),
}

impl Machine {
    /// Looks for the machine; `place` says which of the GPUs an automatic choice takes, such as a rank's own.
    ///
    /// # Errors
    /// A GPU was asked for by name and cannot be had.
    pub fn choose(self, place: usize) -> Result<Chosen, CudaError> {
        let ordinal = match self {
            Self::Processor => return Ok(Chosen::Processor { because: None }),
            Self::Auto => place,
            Self::Gpu(ordinal) => ordinal,
        };
        let found = match probe() {
            Probe::Found(gpus) => gpus.into_iter().nth(ordinal).ok_or(CudaError::NoGpu { ordinal }),
            Probe::NoDriver => Err(CudaError::NoDriver),
            Probe::Unusable(reason) => Err(CudaError::Driver { step: "starting the driver", reason }),
        };
        let usable = found.and_then(|gpu| match gpu.capability < (8, 0) {
            true => Err(CudaError::TooOld { ordinal, name: gpu.name, capability: gpu.capability }),
            false => images::check(gpu.driver).map(|()| gpu),
        });
        match (self, usable) {
            (_, Ok(gpu)) => Ok(Chosen::Gpu(gpu)),
            (Self::Auto, Err(CudaError::NoDriver | CudaError::NoGpu { .. })) => Ok(Chosen::Processor { because: None }),
            (Self::Auto, Err(e)) => Ok(Chosen::Processor { because: Some(e.to_string()) }),
            (_, Err(e)) => Err(e),
        }
    }
}

impl Chosen {
    /// Opens it, with so many bytes for buffers where it is a GPU.
    ///
    /// # Errors
    /// A GPU that has less memory free, or does not take the kernels.
    pub fn open(&self, bytes: u64) -> Result<Box<dyn Backend>, CudaError> {
        match self {
            Self::Processor { .. } => Ok(Box::new(Cpu::new())),
            Self::Gpu(gpu) => Ok(Box::new(Cuda::open(gpu.ordinal, bytes)?)),
        }
    }

    /// The same, with a choice of what multiplies matrices where it is a GPU.
    ///
    /// # Errors
    /// Those of [`Chosen::open`]; cuBLASLt was asked for and is not there.
    pub fn open_with(&self, bytes: u64, products: GemmChoice) -> Result<Box<dyn Backend>, MachineError> {
        match self {
            Self::Processor { .. } => Ok(Box::new(Cpu::new())),
            Self::Gpu(gpu) => {
                let mut cuda = Cuda::open(gpu.ordinal, bytes)?;
                cuda.set_gemm(products)?;
                Ok(Box::new(cuda))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_named_and_other_words_are_refused() {
        let all = ["auto", "cpu", "gpu", "gpu:3"].map(|text| text.parse::<Machine>());
        assert_eq!(all, [Ok(Machine::Auto), Ok(Machine::Processor), Ok(Machine::Gpu(0)), Ok(Machine::Gpu(3))]);
        for wrong in ["", "GPU", "gpu:", "gpu:x", "cpu:0", "tpu"] {
            assert!(wrong.parse::<Machine>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_only_where_it_was_asked_for() {
        assert!(matches!(Machine::Processor.choose(0), Ok(Chosen::Processor { because: None })));
        assert!(matches!(
            Machine::Gpu(99).choose(0),
            Err(CudaError::NoDriver | CudaError::NoGpu { ordinal: 99 } | CudaError::Driver { .. })
        ));
        assert!(matches!(Machine::Auto.choose(99), Ok(Chosen::Processor { .. })));
    }
}
