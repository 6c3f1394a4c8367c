//! A GPU through its driver: memory, kernels from the images in the program, one stream.

use std::collections::BTreeMap;
use std::ffi::{CString, c_void};
use std::sync::Arc;

use cudarc::driver::{CudaContext, result, sys};

use super::device::{CudaError, Device, Launch, TensorMap, Tiled, Timed};
use super::images;
use super::table::{Pointer, table};

/// A GPU and its kernels.
pub struct Driver {
    context: Arc<CudaContext>,
    stream: sys::CUstream,
    name: String,
    capability: (i32, i32),
    n_multiprocessors: usize,
    modules: Vec<sys::CUmodule>,
    functions: BTreeMap<String, sys::CUfunction>,
    maps: BTreeMap<Vec<u64>, TensorMap>,
    held: Vec<sys::CUdeviceptr>,
    /// Calls that were put down, ready to be made.
    graphs: Vec<(sys::CUgraph, sys::CUgraphExec)>,
    /// While calls are measured: each with the events before and behind it; its seconds are not known yet.
    timed: Option<Vec<(Timed, sys::CUevent, sys::CUevent)>>,
}

// SAFETY: the driver's handles may be used from any thread, once the context is bound to it, which every call below begins with.
unsafe impl Send for Driver {}

fn driver(step: &'static str) -> impl Fn(result::DriverError) -> CudaError {
    move |e| {
        let text = e.error_string().map_or_else(|_| format!("{:?}", e.0), |s| s.to_string_lossy().into_owned());
        CudaError::Driver { step, reason: text }
    }
}

impl Driver {
    /// Opens a GPU and loads all kernels.
    ///
    /// # Errors
    /// No driver, no such GPU, one that is too old, or a driver that does not take the kernels.
    pub fn open(ordinal: usize) -> Result<Self, CudaError> {
        // SAFETY: only asks the loader; cudarc panics on a missing library, so it is asked first.
        if !unsafe { sys::is_culib_present() } {
            return Err(CudaError::NoDriver);
        }
        result::init().map_err(driver("starting the driver"))?;
        let count = result::device::get_count().map_err(driver("counting GPUs"))?;
        if ordinal >= count as usize {
            return Err(CudaError::NoGpu { ordinal });
        }
        let context = CudaContext::new(ordinal).map_err(driver("opening the GPU"))?;
        let name = context.name().map_err(driver("asking for the GPU's name"))?;
        let attribute = |which| context.attribute(which).map_err(driver("asking for the GPU's properties"));
        use sys::CUdevice_attribute as A;
        let capability =
            (attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?, attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?);
        if capability < (8, 0) {
            return Err(CudaError::TooOld { ordinal, name, capability });
        }
        let n_multiprocessors = attribute(A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as usize;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking).map_err(driver("making a stream"))?;
        let mut opened = Self {
            context,
            stream,
            name,
            capability,
            n_multiprocessors,
            modules: Vec::new(),
            functions: BTreeMap::new(),
            maps: BTreeMap::new(),
            held: Vec::new(),
            graphs: Vec::new(),
            timed: None,
        };
        opened.load()?;
        Ok(opened)
    }

    fn load(&mut self) -> Result<(), CudaError> {
        for (file, image) in images::all()? {
            // Variants for one architecture have no code for others.
            if file.ends_with("_sm90") && self.capability != (9, 0) {
                continue;
            }
            let failed = |source: CudaError| CudaError::Load { file, source: Box::new(source) };
            // SAFETY: the image is a whole fat binary that the compiler wrote, and lives until the driver has copied it.
            let module = unsafe { result::module::load_data(image.as_ptr().cast()) }.map_err(|e| failed(driver("loading")(e)))?;
            self.modules.push(module);
            for row in table().filter(|row| row.file == file) {
                for types in row.variants {
                    let entry = row.entry(types);
                    let name =
                        CString::new(entry.as_str()).map_err(|e| failed(CudaError::Driver { step: "naming", reason: e.to_string() }))?;
                    // SAFETY: the module is loaded.
                    let function =
                        unsafe { result::module::get_function(module, name) }.map_err(|e| failed(driver("finding a kernel")(e)))?;
                    self.functions.insert(entry, function);
                }
            }
        }
        Ok(())
    }

    /// Puts a mark into the stream.
    fn mark(&self) -> Result<sys::CUevent, CudaError> {
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).map_err(driver("making an event"))?;
        // SAFETY: event and stream are this device's.
        unsafe { result::event::record(event, self.stream) }.map_err(driver("marking the stream"))?;
        Ok(event)
    }

    fn bind(&self) -> Result<(), CudaError> {
        self.context.bind_to_thread().map_err(driver("taking the GPU"))
    }

    /// The stream that everything runs on.
    pub fn stream(&self) -> sys::CUstream {
        self.stream
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // What cannot be given back any more goes with the process.
        let _ = self.bind();
        // SAFETY: each handle was made by this device and is given back once, after all work on the stream is done.
        unsafe {
            let _ = result::stream::synchronize(self.stream);
            for pointer in self.held.drain(..) {
                let _ = result::free_sync(pointer);
            }
            for (graph, exec) in self.graphs.drain(..) {
                let _ = result::graph::exec_destroy(exec);
                let _ = result::graph::destroy(graph);
            }
            for module in self.modules.drain(..) {
                let _ = result::module::unload(module);
            }
            let _ = result::stream::destroy(self.stream);
        }
    }
}

impl Device for Driver {
    fn name(&self) -> &str {
        &self.name
    }

    fn capability(&self) -> (i32, i32) {
        self.capability
    }

    fn n_multiprocessors(&self) -> usize {
        self.n_multiprocessors
    }

    fn free_bytes(&self) -> u64 {
        self.bind().ok().and_then(|()| result::mem_get_info().ok()).map_or(0, |(free, _)| free as u64)
    }

    fn alloc(&mut self, bytes: usize) -> Result<Pointer, CudaError> {
        self.bind()?;
        // SAFETY: the memory is used by address only, and freed when the device is dropped.
        let pointer = unsafe { result::malloc_sync(bytes.max(1)) }.map_err(|e| match e.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => CudaError::Memory { needed: bytes as u64, free: self.free_bytes() },
            _ => driver("taking memory")(e),
        })?;
        self.held.push(pointer);
        Ok(Pointer(pointer))
    }

    fn free_all(&mut self) -> Result<(), CudaError> {
        self.wait()?;
        for pointer in self.held.drain(..) {
            // SAFETY: it was taken by this device, is given back once, and nothing is under way that uses it.
            unsafe { result::free_sync(pointer) }.map_err(driver("giving memory back"))?;
        }
        Ok(())
    }

    fn copy_in(&mut self, to: Pointer, bytes: &[u8]) -> Result<(), CudaError> {
        self.bind()?;
        // SAFETY: callers name memory of this device of at least so many bytes; the copy is waited for while `bytes` is borrowed.
        unsafe {
            result::memcpy_htod_async(to.0, bytes, self.stream).map_err(driver("copying to the GPU"))?;
            result::stream::synchronize(self.stream).map_err(driver("copying to the GPU"))
        }
    }

    fn copy_out(&mut self, from: Pointer, bytes: &mut [u8]) -> Result<(), CudaError> {
        self.bind()?;
        // SAFETY: as above.
        unsafe {
            result::memcpy_dtoh_async(bytes, from.0, self.stream).map_err(driver("copying from the GPU"))?;
            result::stream::synchronize(self.stream).map_err(driver("work on the GPU"))
        }
    }

    fn tensor_map(&mut self, tensor: Tiled) -> Result<TensorMap, CudaError> {
        let Tiled { base, sizes, strides_bytes, n_dims, copied } = tensor;
        let mut key = vec![base.0, n_dims as u64];
        key.extend(sizes);
        key.extend(strides_bytes);
        key.extend(copied.map(u64::from));
        if let Some(known) = self.maps.get(&key) {
            return Ok(*known);
        }
        self.bind()?;
        let mut map = TensorMap([0; 16]);
        // SAFETY: the map is 128 bytes, aligned to 64; sizes and strides have `n_dims` and `n_dims` − 1 entries.
        unsafe {
            sys::cuTensorMapEncodeTiled(
                std::ptr::from_mut(&mut map).cast(),
                sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                n_dims as u32,
                base.0 as *mut c_void,
                sizes.as_ptr(),
                strides_bytes.as_ptr(),
                copied.as_ptr(),
                [1u32; 4].as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
            .result()
            .map_err(driver("describing a tensor"))?;
        }
        self.maps.insert(key, map);
        Ok(map)
    }

    fn launch(&mut self, launch: &Launch<'_>) -> Result<(), CudaError> {
        self.bind()?;
        let entry = launch.row.entry(launch.types);
        let failed = |reason: String| CudaError::Launch { entry: entry.clone(), grid: launch.grid, reason };
        let function = *self.functions.get(&entry).ok_or_else(|| failed("it is not in the program".to_owned()))?;
        let [x, y, z] = launch.grid.map(|n| n as u32);
        let mut arguments: Vec<*mut c_void> = launch.arguments.iter().map(|a| a.address()).collect();
        // SAFETY: the table that this call was made from is checked against the kernels' prototypes when they are compiled; pointers are of this
        // device, which the launchers' assertions keep within their buffers.
        unsafe {
            if launch.shared > 48 * 1024 {
                let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                result::function::set_function_attribute(function, attribute, launch.shared as i32)
                    .map_err(|e| failed(driver("asking for shared memory")(e).to_string()))?;
            }
            let before = self.timed.is_some().then(|| self.mark()).transpose()?;
            result::launch_kernel(function, (x, y, z), (launch.row.threads, 1, 1), launch.shared as u32, self.stream, &mut arguments)
                .map_err(|e| failed(driver("launching")(e).to_string()))?;
            if let Some(before) = before {
                let behind = self.mark()?;
                let timed = Timed { entry: entry.clone(), seconds: 0.0, bytes: launch.bytes, flop: launch.flop };
                self.timed.get_or_insert_default().push((timed, before, behind));
            }
            Ok(())
        }
    }

    fn begin_capture(&mut self) -> Result<bool, CudaError> {
        self.bind()?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is this device's and not the default one.
        unsafe { result::stream::begin_capture(self.stream, mode) }.map_err(driver("putting calls down"))?;
        Ok(true)
    }

    fn end_capture(&mut self) -> Result<usize, CudaError> {
        self.bind()?;
        // SAFETY: the stream is being captured; the graph is destroyed with the device, after what was made of it.
        unsafe {
            let graph = result::stream::end_capture(self.stream).map_err(driver("putting calls down"))?;
            let exec = result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0)).map_err(driver("readying calls"))?;
            self.graphs.push((graph, exec));
        }
        Ok(self.graphs.len() - 1)
    }

    fn launch_captured(&mut self, number: usize) -> Result<(), CudaError> {
        self.bind()?;
        // SAFETY: the graph was made by this device and lives as long as it.
        unsafe { result::graph::launch(self.graphs[number].1, self.stream) }.map_err(driver("making the calls put down"))
    }

    fn is_timing(&self) -> bool {
        self.timed.is_some()
    }

    fn begin_timing(&mut self) {
        self.timed = Some(Vec::new());
    }

    fn end_timing(&mut self) -> Result<Vec<Timed>, CudaError> {
        self.wait()?;
        let mut calls = Vec::new();
        for (timed, before, behind) in self.timed.take().unwrap_or_default() {
            // SAFETY: both events were recorded on the stream, which has been waited for, and are destroyed once.
            unsafe {
                let ms = result::event::elapsed(before, behind).map_err(driver("reading the clock"))?;
                calls.push(Timed { seconds: f64::from(ms) / 1e3, ..timed });
                result::event::destroy(before).map_err(driver("giving an event back"))?;
                result::event::destroy(behind).map_err(driver("giving an event back"))?;
            }
        }
        Ok(calls)
    }

    fn stream(&self) -> Option<*mut c_void> {
        self.bind().ok().map(|()| self.stream.cast())
    }

    fn wait(&mut self) -> Result<(), CudaError> {
        self.bind()?;
        // SAFETY: the stream is this device's.
        unsafe { result::stream::synchronize(self.stream) }.map_err(driver("work on the GPU"))
    }
}
