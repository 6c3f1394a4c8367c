//! Matrix products by NVIDIA's cuBLASLt: a second implementation beside `gemm.rs`, for those who have the library and ask for it.
//!
//! It is opened at run time and nothing is linked to it. Its matrices stand column by column: read so, a row-major `out = a · b` is
//! `outᵀ = bᵀ · aᵀ` over the same memory. What the library's heuristic picks is kept for each shape. A product that it does not take goes to
//! our own kernels.
//!
//! # Source
//! NVIDIA's manual of cuBLAS, chapter "Using the cuBLASLt API"; numbers of enumerations as in `cublasLt.h` 11 to 13, which agree on all here.

use std::collections::HashMap;
use std::env;
use std::ffi::{OsString, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::{from_ref, null_mut};

use libloading::Library;

use super::Cuda;
use super::backend::must;
use super::device::{CudaError, Device};
use super::plain;
use super::table::Pointer;
use crate::{Dtype, Gemm, View};

/// Where the library may be; the loader searches its own folders for names.
pub const LIBRARY: &str = "POLDER_CUBLASLT_LIB";
const NAMES: [&str; 3] = ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"];

/// Bytes that the library may use of the GPU, as NVIDIA recommends for Hopper.
pub(super) const WORKSPACE_BYTES: usize = 32 << 20;

/// Why cuBLASLt cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CublasLtError {
    /// The library is not there.
    #[error("no cuBLASLt library is among those that the loader finds (looked for {})", looked_for.join(", "))]
    NoLibrary {
        /// Names and paths tried.
        looked_for: Vec<String>,
    },
    /// The library lacks a function.
    #[error("the cuBLASLt library is not one of CUDA 12 or 13")]
    Functions(#[source] libloading::Error),
    /// The device is no GPU.
    #[error("cuBLASLt needs a GPU")]
    NoGpu,
    /// The library refuses.
    #[error("cuBLASLt does not start: status {status}")]
    Start {
        /// The library's status.
        status: i32,
    },
}

impl polder_base::Advice for CublasLtError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoLibrary { .. } | Self::Functions(_) => format!(
                "Name the library with {LIBRARY}=/path/to/libcublasLt.so.13 (NVIDIA's package of cuBLAS for CUDA 13 has it), or leave POLDER_GEMM out: \
                 Polder's own kernels need no library."
            ),
            Self::NoGpu | Self::Start { .. } => "Leave POLDER_GEMM out: Polder's own kernels need no library.".to_owned(),
        })
    }
}

// What the library's functions take: handles are pointers to what only it knows.
type Handle = *mut c_void;
type Operation = *mut c_void;
type Layout = *mut c_void;
type Preference = *mut c_void;
type Status = c_int;

const SUCCESS: Status = 0;
// `cublasComputeType_t`, `cudaDataType_t`, `cublasOperation_t`, `cublasLtEpilogue_t`.
const COMPUTE_32F: c_int = 68;
const R_32F: c_int = 0;
const R_16BF: c_int = 14;
const OP_N: i32 = 0;
const OP_T: i32 = 1;
const EPILOGUE_BIAS: u32 = 4;
/// `CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE`: splits of a sum are added up as f32, whatever the output is.
const REDUCTION_COMPUTE_TYPE: u32 = 2;

/// `cublasLtMatmulDescAttributes_t`.
#[repr(i32)]
#[derive(Clone, Copy)]
enum OperationAttribute {
    TransA = 3,
    TransB = 4,
    Epilogue = 7,
    BiasPointer = 8,
}

/// `cublasLtMatmulPreferenceAttributes_t`.
#[repr(i32)]
#[derive(Clone, Copy)]
enum PreferenceAttribute {
    MaxWorkspaceBytes = 1,
    ReductionSchemeMask = 3,
    MinAlignmentA = 5,
    MinAlignmentB = 6,
    MinAlignmentC = 7,
    MinAlignmentD = 8,
}

/// `cublasLtMatmulAlgo_t`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Algorithm([u64; 8]);

/// `cublasLtMatmulHeuristicResult_t`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Found {
    algorithm: Algorithm,
    workspace_bytes: usize,
    state: Status,
    waves: f32,
    reserved: [c_int; 4],
}

macro_rules! functions {
    ($($name:ident = $symbol:literal ($($arg:ty),* $(,)?);)*) => {
        /// The functions in use.
        struct Functions {
            $($name: unsafe extern "C" fn($($arg),*) -> Status,)*
        }

        impl Functions {
            /// Finds them.
            ///
            /// # Safety
            /// The library is cuBLASLt, and stays open as long as the functions are used.
            unsafe fn find(library: &Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    $(
                        // SAFETY: the types are those of `cublasLt.h`, which did not change from 11 to 13.
                        $name: *unsafe { library.get::<unsafe extern "C" fn($($arg),*) -> Status>($symbol) }?,
                    )*
                })
            }
        }
    };
}

functions! {
    create = "cublasLtCreate" (*mut Handle);
    destroy = "cublasLtDestroy" (Handle);
    operation_create = "cublasLtMatmulDescCreate" (*mut Operation, c_int, c_int);
    operation_set = "cublasLtMatmulDescSetAttribute" (Operation, c_int, *const c_void, usize);
    operation_destroy = "cublasLtMatmulDescDestroy" (Operation);
    layout_create = "cublasLtMatrixLayoutCreate" (*mut Layout, c_int, u64, u64, i64);
    layout_destroy = "cublasLtMatrixLayoutDestroy" (Layout);
    preference_create = "cublasLtMatmulPreferenceCreate" (*mut Preference);
    preference_set = "cublasLtMatmulPreferenceSetAttribute" (Preference, c_int, *const c_void, usize);
    preference_destroy = "cublasLtMatmulPreferenceDestroy" (Preference);
    heuristic = "cublasLtMatmulAlgoGetHeuristic" (Handle, Operation, Layout, Layout, Layout, Layout, Preference, c_int, *mut Found, *mut c_int);
    multiply = "cublasLtMatmul" (
        Handle, Operation, *const c_void, *const c_void, Layout, *const c_void, Layout, *const c_void, *const c_void, Layout, *mut c_void, Layout,
        *const Algorithm, *mut c_void, usize, *mut c_void,
    );
}

/// What a plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    m: usize,
    n: usize,
    k: usize,
    transpose_a: bool,
    transpose_b: bool,
    out: Dtype,
    factors: Dtype,
    bias: bool,
    /// Bytes that addresses of the output and both factors are multiples of, 256 at most.
    alignments: [u32; 3],
}

/// How the library is told a product. What it points at is its [`CublasLt`]'s, and lives as long.
#[derive(Clone, Copy)]
struct Plan {
    operation: Operation,
    left: Layout,
    right: Layout,
    out: Layout,
    algorithm: Algorithm,
}

/// A matrix as the library is told it, column by column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Side {
    rows: usize,
    columns: usize,
    transposed: bool,
}

/// The library's left and right factors and its output: our right and left, all transposed by being read column by column. A matrix' columns
/// follow each other without a gap.
fn sides(Gemm { m, n, k, transpose_a, transpose_b, .. }: Gemm) -> [Side; 3] {
    let stored = |rows: usize, columns: usize, transposed: bool| {
        let (rows, columns) = if transposed { (columns, rows) } else { (rows, columns) };
        Side { rows, columns, transposed }
    };
    [stored(n, k, transpose_b), stored(k, m, transpose_a), stored(n, m, false)]
}

/// The library, open, with a plan for every product that it was asked for.
pub(super) struct CublasLt {
    functions: Functions,
    handle: Handle,
    workspace: Pointer,
    plans: HashMap<Key, Option<Plan>>,
    operations: Vec<Operation>,
    layouts: Vec<Layout>,
    // CUDA's libraries ask to be told when the process ends, so none is closed before.
    _library: ManuallyDrop<Library>,
}

// SAFETY: the library's handle may be used from any thread, and descriptions are memory that only this value's owner uses.
unsafe impl Send for CublasLt {}

impl CublasLt {
    /// Opens the library on a device; it gets its workspace before it is used.
    pub(super) fn open(device: &dyn Device) -> Result<Self, CublasLtError> {
        let (library, functions) = find()?;
        // Also makes the GPU the thread's, which the library's handle is of.
        device.stream().ok_or(CublasLtError::NoGpu)?;
        let mut handle = null_mut();
        // SAFETY: writes one handle.
        let status = unsafe { (functions.create)(&raw mut handle) };
        if status != SUCCESS {
            return Err(CublasLtError::Start { status });
        }
        let (plans, operations, layouts) = (HashMap::new(), Vec::new(), Vec::new());
        Ok(Self { functions, handle, workspace: Pointer::NONE, plans, operations, layouts, _library: ManuallyDrop::new(library) })
    }

    /// Gives it [`WORKSPACE_BYTES`] of the device's memory.
    pub(super) fn set_workspace(&mut self, workspace: Pointer) {
        self.workspace = workspace;
    }

    /// The plan for a product, or none where the library has no way to do it.
    fn plan(&mut self, key: Key, shape: Gemm) -> Option<Plan> {
        if let Some(known) = self.plans.get(&key) {
            return *known;
        }
        let plan = self.make(key, shape).ok();
        self.plans.insert(key, plan);
        plan
    }

    fn make(&mut self, key: Key, shape: Gemm) -> Result<Plan, Status> {
        let operation = self.operation(key)?;
        let [left, right, out] = sides(shape);
        let (left, right, out) = (self.layout(left, key.factors)?, self.layout(right, key.factors)?, self.layout(out, key.out)?);
        let mut preference = null_mut();
        // SAFETY: writes one handle, which is given back below.
        check(unsafe { (self.functions.preference_create)(&raw mut preference) })?;
        let found = self.pick(key, operation, [left, right, out], preference);
        // SAFETY: it was made above and is not used again.
        unsafe { (self.functions.preference_destroy)(preference) };
        Ok(Plan { operation, left, right, out, algorithm: found? })
    }

    /// The operation but for the place of its bias.
    fn operation(&mut self, key: Key) -> Result<Operation, Status> {
        let mut operation = null_mut();
        // SAFETY: writes one handle, which is kept to be given back.
        check(unsafe { (self.functions.operation_create)(&raw mut operation, COMPUTE_32F, R_32F) })?;
        self.operations.push(operation);
        let op = |transposed: bool| if transposed { OP_T } else { OP_N };
        // The library's left factor is our right one.
        self.set(operation, OperationAttribute::TransA, op(key.transpose_b))?;
        self.set(operation, OperationAttribute::TransB, op(key.transpose_a))?;
        if key.bias {
            // A bias is a number for each row of the library's output, which is a column of ours, and of the output's type.
            self.set(operation, OperationAttribute::Epilogue, EPILOGUE_BIAS)?;
            // Some address, for the heuristic to see how a bias is aligned; each call tells its own.
            self.set(operation, OperationAttribute::BiasPointer, self.workspace.0)?;
        }
        Ok(operation)
    }

    fn set<T: bytemuck::Pod>(&self, operation: Operation, attribute: OperationAttribute, value: T) -> Result<(), Status> {
        // SAFETY: the operation is this value's, and the library copies as many bytes as the attribute has: `i32` for transpositions, `u32` for the
        // epilogue, an address of 8 bytes for the bias.
        check(unsafe { (self.functions.operation_set)(operation, attribute as c_int, from_ref(&value).cast(), size_of::<T>()) })
    }

    fn layout(&mut self, side: Side, dtype: Dtype) -> Result<Layout, Status> {
        let mut layout = null_mut();
        let dtype = match dtype {
            Dtype::F32 => R_32F,
            Dtype::Bf16 => R_16BF,
        };
        // SAFETY: writes one handle, which is kept to be given back.
        check(unsafe { (self.functions.layout_create)(&raw mut layout, dtype, side.rows as u64, side.columns as u64, side.rows as i64) })?;
        self.layouts.push(layout);
        Ok(layout)
    }

    fn pick(&self, key: Key, operation: Operation, [left, right, out]: [Layout; 3], preference: Preference) -> Result<Algorithm, Status> {
        use PreferenceAttribute as A;
        let set = |attribute: A, value: &[u8]| {
            // SAFETY: the preference is open, and the library copies as many bytes as the attribute has.
            check(unsafe { (self.functions.preference_set)(preference, attribute as c_int, value.as_ptr().cast(), value.len()) })
        };
        set(A::MaxWorkspaceBytes, &(WORKSPACE_BYTES as u64).to_ne_bytes())?;
        set(A::ReductionSchemeMask, &REDUCTION_COMPUTE_TYPE.to_ne_bytes())?;
        let [of_out, of_a, of_b] = key.alignments.map(u32::to_ne_bytes);
        for (attribute, value) in
            [(A::MinAlignmentA, of_b), (A::MinAlignmentB, of_a), (A::MinAlignmentC, of_out), (A::MinAlignmentD, of_out)]
        {
            set(attribute, &value)?;
        }
        let (mut found, mut count) = (Found::default(), 0);
        // SAFETY: all handles are open, and there is room for the one result that is asked for.
        check(unsafe {
            (self.functions.heuristic)(self.handle, operation, left, right, out, out, preference, 1, &raw mut found, &raw mut count)
        })?;
        if count < 1 {
            return Err(Status::MAX);
        }
        check(found.state)?;
        Ok(found.algorithm)
    }

    /// Begins a product.
    ///
    /// # Safety
    /// The addresses are of the GPU's memory, of the plan's sizes and alignments; nothing else uses that memory or the workspace but in order
    /// on the stream, which is this GPU's.
    unsafe fn multiply(
        &self,
        plan: Plan,
        [out, a, b]: [Pointer; 3],
        bias: Option<Pointer>,
        accumulate: bool,
        stream: *mut c_void,
    ) -> Result<(), Status> {
        if let Some(at) = bias {
            self.set(plan.operation, OperationAttribute::BiasPointer, at.0)?;
        }
        let (one, beta) = (1f32, if accumulate { 1f32 } else { 0f32 });
        let [out, a, b, workspace] = [out, a, b, self.workspace].map(|p| p.0 as *mut c_void);
        // SAFETY: the caller answers for memory and stream; the plan's handles are open; both factors of the sum are read before the call returns.
        check(unsafe {
            (self.functions.multiply)(
                self.handle,
                plan.operation,
                from_ref(&one).cast(),
                b,
                plan.left,
                a,
                plan.right,
                from_ref(&beta).cast(),
                out,
                plan.out,
                out,
                plan.out,
                &raw const plan.algorithm,
                workspace,
                WORKSPACE_BYTES,
                stream,
            )
        })
    }
}

fn check(status: Status) -> Result<(), Status> {
    if status == SUCCESS { Ok(()) } else { Err(status) }
}

fn find() -> Result<(Library, Functions), CublasLtError> {
    let mut names: Vec<OsString> = env::var_os(LIBRARY).into_iter().filter(|path| !path.is_empty()).collect();
    names.extend(NAMES.map(OsString::from));
    for name in &names {
        // SAFETY: it is the user's or the loader's cuBLASLt; what it does when loaded is NVIDIA's to answer for.
        let Ok(library) = (unsafe { Library::new(name) }) else { continue };
        // SAFETY: the caller keeps the library open.
        let functions = unsafe { Functions::find(&library) }.map_err(CublasLtError::Functions)?;
        return Ok((library, functions));
    }
    Err(CublasLtError::NoLibrary { looked_for: names.iter().map(|n| n.to_string_lossy().into_owned()).collect() })
}

impl Drop for CublasLt {
    fn drop(&mut self) {
        // SAFETY: each handle was made by this library and is given back once; giving back the last one waits for all work that uses it.
        unsafe {
            for operation in self.operations.drain(..) {
                (self.functions.operation_destroy)(operation);
            }
            for layout in self.layouts.drain(..) {
                (self.functions.layout_destroy)(layout);
            }
            (self.functions.destroy)(self.handle);
        }
    }
}

/// What an address is a multiple of, 256 at most.
fn alignment(at: Pointer) -> u32 {
    1 << at.0.trailing_zeros().min(8)
}

/// Multiplies, where the library is in use and takes the product; sizes are checked, and none is 0.
pub(super) fn gemm(cuda: &mut Cuda, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) -> bool {
    let Gemm { m, n, k, transpose_a, transpose_b, .. } = shape;
    let at = [out, a, b].map(|view| cuda.at(view));
    if cuda.cublaslt().is_none() {
        return false;
    }
    // Before the plan: the heuristic asks for the thread's GPU.
    let Some(stream) = cuda.device().stream() else { return false };
    let alignments = at.map(alignment);
    let key = Key { m, n, k, transpose_a, transpose_b, out: out.dtype, factors: a.dtype, bias: bias.is_some(), alignments };
    let Some(plan) = cuda.cublaslt().and_then(|library| library.plan(key, shape)) else { return false };
    // The bias in the type that the epilogue asks for, at an address that it does not mind.
    let added = bias.map(|bias| {
        let (copy, from) = (cuda.scratch(n * out.dtype.bytes()), cuda.at(bias));
        plain::copy_at(cuda, copy, out.dtype, from, bias);
        copy
    });
    let Some(library) = cuda.cublaslt() else { return false };
    // SAFETY: the plan was made for these sizes, types and alignments, which the views have; all work on their memory, on the workspace and on the
    // copy of the bias is on this stream, in order.
    let done = unsafe { library.multiply(plan, at, added, shape.accumulate, stream) };
    must(done.map_err(|status| CudaError::Driver { step: "a product by cuBLASLt", reason: format!("status {status} for {shape:?}") }));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A product as the library understands it: column by column, factors transposed where it is told so.
    fn column_major([left, right, out]: [Side; 3], a: &[f32], b: &[f32]) -> Vec<f32> {
        let at = |side: Side, x: &[f32], row: usize, column: usize| {
            let (row, column) = if side.transposed { (column, row) } else { (row, column) };
            assert!(row < side.rows && column < side.columns);
            x[column * side.rows + row]
        };
        let terms = if left.transposed { left.rows } else { left.columns };
        let mut result = vec![0.0; out.rows * out.columns];
        for column in 0..out.columns {
            for row in 0..out.rows {
                result[column * out.rows + row] = (0..terms).map(|t| at(left, a, row, t) * at(right, b, t, column)).sum();
            }
        }
        result
    }

    #[test]
    fn read_column_by_column_every_layout_is_the_same_product() {
        let (m, n, k) = (3, 5, 4);
        let a: Vec<f32> = (0..m * k).map(|i| i as f32 - 3.0).collect();
        let b: Vec<f32> = (0..k * n).map(|i| (i * i % 7) as f32).collect();
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let shape = Gemm { m, n, k, transpose_a, transpose_b, accumulate: false };
            let mut ours = vec![0.0; m * n];
            crate::cpu::gemm(&mut ours, &a, &b, None, shape);
            assert_eq!(column_major(sides(shape), &b, &a), ours, "{shape:?}");
        }
    }

    #[test]
    fn structures_have_the_sizes_of_the_librarys() {
        assert_eq!((size_of::<Algorithm>(), size_of::<Found>(), std::mem::offset_of!(Found, state)), (64, 96, 72));
        assert_eq!([16, 8, 2, 4096].map(|at| alignment(Pointer(at))), [16, 8, 2, 256]);
    }

    #[test]
    fn a_machine_without_the_library_says_what_was_looked_for() {
        use polder_base::Advice;
        match find() {
            Ok(_) => println!("a cuBLASLt library is there"),
            Err(e) => assert!(e.to_string().contains("libcublasLt.so.13") && e.hint().expect("hint").contains(LIBRARY), "{e}"),
        }
    }
}
