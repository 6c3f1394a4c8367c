//! A device made of the kernels' own sources, compiled for the processor with `kernels/emulation/`: the same launchers, the same entry points,
//! threads in an order that a seed decides.

use std::ffi::{CStr, CString, OsStr, c_char, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use libloading::Library;
use polder_base::digest_bytes;

use super::device::{CudaError, Device, Launch, TensorMap, Tiled};
use super::table::{Argument, Pointer, Row, emulation_entries, prototypes};
use crate::Dtype;

type Alloc = unsafe extern "C" fn(usize) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);
type IsWhole = unsafe extern "C" fn(*mut c_void, usize) -> bool;
type Run = unsafe extern "C" fn(*const c_char, *const u32, u32, usize, u64, *mut *mut c_void) -> *const c_char;

/// Why there is no emulation.
#[derive(Debug, thiserror::Error)]
pub enum EmulationError {
    /// There is no C++ compiler.
    #[error("there is no C++ compiler (`c++`)")]
    NoCompiler,
    /// A source does not compile.
    #[error("`{file}` does not compile for the processor:\n{output}")]
    Compile {
        /// The source.
        file: String,
        /// What the compiler says.
        output: String,
    },
    /// A file cannot be read or written.
    #[error("cannot use `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The compiled library does not open.
    #[error("cannot open the compiled emulation")]
    Open(#[source] libloading::Error),
}

/// What an emulation looks for beside results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Nothing.
    Nothing,
    /// Addresses out of bounds and undefined behaviour. The program that opens such a library must have those of the sanitizers loaded.
    Faults,
    /// Which lines and branches run. The folder of objects stays, for it is what `gcov` reads.
    Coverage,
}

impl Watch {
    /// The end of the library's name, and what the compiler is asked for.
    fn told(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Nothing => ("", &["-O2"]),
            // Unoptimised: what takes longer to run was compiled in a fifth of the time. Of addresses those that are used are looked at, once.
            Self::Faults => (
                "-faults",
                &["-O0", "-fsanitize=address,undefined", "-fno-sanitize=null,pointer-overflow,vptr", "-fno-sanitize-recover=undefined"],
            ),
            Self::Coverage => ("-coverage", &["-O0", "--coverage"]),
        }
    }
}

/// Compiles the kernels below `sources` for the processor, once for each state of them, and returns the library in `folder`.
///
/// # Errors
/// No compiler; sources that do not compile, also because they differ from the launchers' table; files.
pub fn compile(sources: &Path, folder: &Path, watch: Watch) -> Result<PathBuf, EmulationError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| EmulationError::File { path, source }
    };
    let (suffix, flags) = watch.told();
    let mut text = prototypes() + &emulation_entries() + &flags.join(" ");
    let mut files = Vec::new();
    for place in [sources.to_owned(), sources.join("emulation")] {
        for entry in fs::read_dir(&place).map_err(file(&place))? {
            let path = entry.map_err(file(&place))?.path();
            if path.extension().is_some_and(|e| ["cu", "cuh", "h", "cpp"].iter().any(|known| e == *known)) {
                files.push(path);
            }
        }
    }
    files.sort();
    for path in &files {
        text.push_str(&fs::read_to_string(path).map_err(file(path))?);
    }
    let digest = digest_bytes(text.as_bytes()).to_string();
    let name = format!("{}{suffix}", digest.trim_start_matches("sha256:").get(..16).unwrap_or_default());
    let library = folder.join(format!("emulation-{name}.so"));
    // Tests of one process ask at once; one compiles.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if library.exists() {
        return Ok(library);
    }
    // Another process may compile the same: each works in a folder of its own, and the last step is a rename.
    let room = folder.join(format!("emulation-{name}.{}", std::process::id()));
    fs::create_dir_all(&room).map_err(file(&room))?;
    for (name, text) in [("prototypes.h", prototypes()), ("entries.cpp", emulation_entries())] {
        fs::write(room.join(name), text).map_err(file(&room))?;
    }
    let mut units: Vec<PathBuf> = files.into_iter().filter(|p| p.extension().is_some_and(|e| e == "cu" || e == "cpp")).collect();
    units.push(room.join("entries.cpp"));
    let object = |unit: &Path| room.join(unit.file_name().unwrap_or_default()).with_extension("o");
    let compile = |unit: &PathBuf| {
        let mut command = Command::new("c++");
        // Kernels read numbers through wider types, and sums must not be reordered.
        command.args([
            "-std=c++17",
            "-g1",
            "-fPIC",
            "-fno-strict-aliasing",
            "-ffp-contract=off",
            "-w",
            "-DPOLDER_EMULATION",
            "-DPOLDER_PROTOTYPES",
        ]);
        command.args(flags).arg("-I").arg(sources).arg("-I").arg(&room).args(["-x", "c++", "-c", "-o"]).arg(object(unit)).arg(unit);
        run(&mut command, unit)
    };
    use rayon::prelude::*;
    units.par_iter().map(compile).collect::<Result<Vec<()>, _>>()?;
    let mut link = Command::new("c++");
    link.arg("-shared").args(flags);
    let part = room.join("emulation.so");
    link.args(units.iter().map(|unit| object(unit))).arg("-o").arg(&part);
    run(&mut link, &part)?;
    fs::rename(&part, &library).map_err(file(&library))?;
    if watch != Watch::Coverage {
        fs::remove_dir_all(&room).map_err(file(&room))?;
    }
    Ok(library)
}

fn run(command: &mut Command, unit: &Path) -> Result<(), EmulationError> {
    let output = command.output().map_err(|_| EmulationError::NoCompiler)?;
    if output.status.success() {
        return Ok(());
    }
    let file = unit.file_name().unwrap_or(OsStr::new("")).to_string_lossy().into_owned();
    let text = String::from_utf8_lossy(&output.stderr);
    Err(EmulationError::Compile { file, output: text.chars().take(4000).collect() })
}

/// A call that was put down.
struct Call {
    row: &'static Row,
    types: Vec<Dtype>,
    grid: [i64; 3],
    shared: usize,
    arguments: Vec<Argument>,
}

/// The emulation as a device.
pub struct Emulated {
    alloc: Alloc,
    free: Free,
    is_whole: IsWhole,
    run: Run,
    held: Vec<(Pointer, usize)>,
    seed: u64,
    capability: (i32, i32),
    n_launches: u64,
    captured: Vec<Vec<Call>>,
    capturing: Option<Vec<Call>>,
    // Last: the functions above are its.
    _library: Library,
}

impl Emulated {
    /// Opens a compiled emulation; threads run in an order that the seed decides. Of the kernels' paths, those for `capability` are taken.
    ///
    /// # Errors
    /// A library that does not open.
    pub fn open(library: &Path, capability: (i32, i32), seed: u64) -> Result<Self, EmulationError> {
        // SAFETY: the library is the one that `compile` made: loading it runs no code of its own, and the functions have these types.
        unsafe {
            let library = Library::new(library).map_err(EmulationError::Open)?;
            let alloc = *library.get::<Alloc>(b"polder_emulation_alloc").map_err(EmulationError::Open)?;
            let free = *library.get::<Free>(b"polder_emulation_free").map_err(EmulationError::Open)?;
            let is_whole = *library.get::<IsWhole>(b"polder_emulation_is_whole").map_err(EmulationError::Open)?;
            let run = *library.get::<Run>(b"polder_emulation_launch").map_err(EmulationError::Open)?;
            let (held, captured) = (Vec::new(), Vec::new());
            Ok(Self { alloc, free, is_whole, run, held, seed, capability, n_launches: 0, captured, capturing: None, _library: library })
        }
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        for (pointer, _) in &self.held {
            // SAFETY: it came from the same library's `alloc` and is given back once.
            unsafe { (self.free)(pointer.0 as *mut c_void) };
        }
    }
}

impl Emulated {
    /// A stream that is being put down takes no copies.
    fn refuse_while_capturing(&self, step: &'static str) -> Result<(), CudaError> {
        match self.capturing {
            Some(_) => Err(CudaError::Driver { step, reason: "calls are being put down".to_owned() }),
            None => Ok(()),
        }
    }
}

impl Device for Emulated {
    fn name(&self) -> &str {
        "emulated GPU"
    }

    fn capability(&self) -> (i32, i32) {
        self.capability
    }

    fn n_multiprocessors(&self) -> usize {
        // Few, so that kernels that fill a GPU with a fixed number of blocks loop.
        3
    }

    fn free_bytes(&self) -> u64 {
        match polder_base::Memory::look().free_bytes {
            0 => u64::MAX,
            free => free,
        }
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn alloc(&mut self, bytes: usize) -> Result<Pointer, CudaError> {
        // SAFETY: `alloc` asks for nothing.
        let pointer = Pointer(unsafe { (self.alloc)(bytes) } as u64);
        if pointer == Pointer::NONE {
            return Err(CudaError::Memory { needed: bytes as u64, free: self.free_bytes() });
        }
        self.held.push((pointer, bytes));
        Ok(pointer)
    }

    fn free_all(&mut self) -> Result<(), CudaError> {
        for (pointer, _) in self.held.drain(..) {
            // SAFETY: it came from the same library's `alloc` and is given back once.
            unsafe { (self.free)(pointer.0 as *mut c_void) };
        }
        Ok(())
    }

    fn copy_in(&mut self, to: Pointer, bytes: &[u8]) -> Result<(), CudaError> {
        self.refuse_while_capturing("copying to the GPU")?;
        // SAFETY: callers name memory of this device, which is the host's, of at least so many bytes.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.0 as *mut u8, bytes.len()) };
        Ok(())
    }

    fn copy_out(&mut self, from: Pointer, bytes: &mut [u8]) -> Result<(), CudaError> {
        self.refuse_while_capturing("copying from the GPU")?;
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(from.0 as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn tensor_map(&mut self, tensor: Tiled) -> Result<TensorMap, CudaError> {
        let Tiled { base, sizes, strides_bytes, n_dims, copied } = tensor;
        let copied = copied.map(u64::from);
        // As `kernels/hopper.cuh` reads it.
        Ok(TensorMap([
            base.0,
            n_dims as u64,
            sizes[0],
            sizes[1],
            sizes[2],
            sizes[3],
            strides_bytes[0],
            strides_bytes[1],
            strides_bytes[2],
            copied[0],
            copied[1],
            copied[2],
            copied[3],
            0,
            0,
            0,
        ]))
    }

    fn launch(&mut self, launch: &Launch<'_>) -> Result<(), CudaError> {
        let entry = launch.row.entry(launch.types);
        let failed = |reason: String| CudaError::Launch { entry: entry.clone(), grid: launch.grid, reason };
        if launch.grid.iter().zip([i64::from(i32::MAX), 65_535, 65_535]).any(|(n, most)| *n > most) {
            return Err(failed("more blocks than a GPU takes".to_owned()));
        }
        if launch.shared > 227 * 1024 {
            return Err(failed(format!("{} bytes of shared memory are more than a GPU has", launch.shared)));
        }
        let name = CString::new(entry.clone()).map_err(|e| failed(e.to_string()))?;
        let grid = launch.grid.map(|n| n as u32);
        let mut arguments: Vec<*mut c_void> = launch.arguments.iter().map(|a| a.address()).collect();
        if let Some(calls) = &mut self.capturing {
            let &Launch { row, types, grid, shared, arguments, .. } = launch;
            calls.push(Call { row, types: types.to_vec(), grid, shared, arguments: arguments.to_vec() });
            return Ok(());
        }
        self.n_launches += 1;
        let seed = self.seed.wrapping_add(self.n_launches);
        // SAFETY: the table that this call was made from is the one that the library's entry points were compiled against.
        let reason = unsafe { (self.run)(name.as_ptr(), grid.as_ptr(), launch.row.threads, launch.shared, seed, arguments.as_mut_ptr()) };
        if !reason.is_null() {
            // SAFETY: a reason is a text of the library, which is open.
            return Err(failed(unsafe { CStr::from_ptr(reason) }.to_string_lossy().into_owned()));
        }
        // SAFETY: all of these are of the library's `alloc`, with so many bytes.
        match self.held.iter().find(|(at, bytes)| !unsafe { (self.is_whole)(at.0 as *mut c_void, *bytes) }) {
            Some((_, bytes)) => Err(failed(format!("it wrote before or behind a buffer of {bytes} bytes"))),
            None => Ok(()),
        }
    }

    fn begin_capture(&mut self) -> Result<bool, CudaError> {
        self.capturing = Some(Vec::new());
        Ok(true)
    }

    fn end_capture(&mut self) -> Result<usize, CudaError> {
        self.captured.push(self.capturing.take().unwrap_or_default());
        Ok(self.captured.len() - 1)
    }

    fn launch_captured(&mut self, number: usize) -> Result<(), CudaError> {
        let calls = std::mem::take(&mut self.captured[number]);
        let made = calls.iter().try_for_each(|call| {
            let Call { row, types, grid, shared, arguments } = call;
            self.launch(&Launch { row, types, grid: *grid, shared: *shared, bytes: 0.0, flop: 0.0, arguments })
        });
        self.captured[number] = calls;
        made
    }

    fn wait(&mut self) -> Result<(), CudaError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::table;
    use super::*;

    #[test]
    fn every_kernel_has_a_prototype_and_an_entry() {
        let (prototypes, entries) = (prototypes(), emulation_entries());
        for row in table() {
            for types in row.variants {
                let entry = row.entry(types);
                assert!(prototypes.contains(&format!(" {entry}(")) && entries.contains(&format!("\"{entry}\"")), "{entry}");
            }
        }
    }
}
