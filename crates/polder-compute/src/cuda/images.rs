//! The compiled kernels that the program carries.

use super::device::CudaError;

/// Checks that a driver can take the kernels: it knows CUDA 13.
///
/// # Errors
/// It is older.
pub fn check(driver: i32) -> Result<(), CudaError> {
    if driver >= 13_000 { Ok(()) } else { Err(CudaError::OldDriver { driver }) }
}

/// Each source's name, and its fat binary.
///
/// # Errors
/// An image that does not unpack.
pub fn all() -> Result<Vec<(&'static str, Vec<u8>)>, CudaError> {
    Ok(Vec::new())
}
