//! A GPU as a backend: buffers by address, and one launcher an operation in the file of its name.

use std::collections::BTreeMap;

use bytemuck::cast_slice;

use super::cublaslt::{self, CublasLt, CublasLtError};
use super::device::{CudaError, Device};
use super::table::Pointer;
use super::{activation, adamw, attention, bias, cross_entropy, embedding, gemm, head_norm, muon, norm, plain, pool, rope, sample};
use crate::number::Bf16;
use crate::{
    Activation, Attention, Backend, Buffer, CrossEntropy, Dtype, Gemm, IdBuffer, IdView, KvCache, LogitsRoom, Muon, Norm, Number, Rope,
    View,
};

/// Bytes that buffers begin at multiples of: what the copy engine and 16-byte loads ask for, and a cache line.
const ALIGNMENT: usize = 256;

/// What multiplies matrices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GemmChoice {
    /// Polder's own kernels.
    #[default]
    Own,
    /// NVIDIA's cuBLASLt, which must be installed.
    CublasLt,
}

impl std::str::FromStr for GemmChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "own" => Ok(Self::Own),
            "cublaslt" => Ok(Self::CublasLt),
            _ => Err(format!("`{text}` is neither own nor cublaslt")),
        }
    }
}

/// A GPU, or the emulation of one.
pub struct Cuda {
    // First, so that it is closed while the device is there.
    cublaslt: Option<CublasLt>,
    gemm: GemmChoice,
    device: Box<dyn Device>,
    buffers: Vec<Pointer>,
    ids: Vec<Pointer>,
    /// Memory that was taken and not handed out: where it begins, and bytes left.
    room: (Pointer, usize),
    scratch: (Pointer, usize),
    /// What was put down under each key, once it has been called twice.
    recorded: BTreeMap<u64, Recorded>,
    recording: Option<u64>,
}

/// What is known of the calls under a key.
#[derive(Clone, Copy)]
enum Recorded {
    /// They were made once, so that all memory that they need is there.
    Once,
    /// They were put down under this number.
    As(usize),
}

/// Keys whose calls are kept; more of them come from batches that all differ, which are not worth keeping.
const RECORDED_MAX: usize = 16;

impl Cuda {
    /// Opens a GPU by its place in the driver's list, and takes `bytes` of its memory for all buffers to come.
    ///
    /// # Errors
    /// No such GPU, one that cannot run the kernels, or one with less memory free.
    pub fn open(ordinal: usize, bytes: u64) -> Result<Self, CudaError> {
        Self::on(Box::new(super::driver::Driver::open(ordinal)?), bytes)
    }

    /// The same on a device that is open. Without a size, each buffer takes its own memory.
    ///
    /// # Errors
    /// Too little memory.
    pub fn on(mut device: Box<dyn Device>, bytes: u64) -> Result<Self, CudaError> {
        let free = device.free_bytes();
        if bytes > free {
            return Err(CudaError::Memory { needed: bytes, free });
        }
        let room = if bytes > 0 { (device.alloc(bytes as usize)?, bytes as usize) } else { (Pointer::NONE, 0) };
        Ok(Self {
            device,
            buffers: Vec::new(),
            ids: Vec::new(),
            room,
            scratch: (Pointer::NONE, 0),
            recorded: BTreeMap::new(),
            recording: None,
            cublaslt: None,
            gemm: GemmChoice::Own,
        })
    }

    /// Chooses what multiplies matrices. Our own kernels do what cuBLASLt does not take.
    ///
    /// # Errors
    /// cuBLASLt is not there, or does not start; the choice stays what it was.
    pub fn set_gemm(&mut self, choice: GemmChoice) -> Result<(), CublasLtError> {
        if choice == GemmChoice::CublasLt && self.cublaslt.is_none() {
            let mut library = CublasLt::open(&*self.device)?;
            library.set_workspace(self.take(cublaslt::WORKSPACE_BYTES));
            self.cublaslt = Some(library);
        }
        self.gemm = choice;
        Ok(())
    }

    /// cuBLASLt, where it was chosen.
    pub(super) fn cublaslt(&mut self) -> Option<&mut CublasLt> {
        self.cublaslt.as_mut().filter(|_| self.gemm == GemmChoice::CublasLt)
    }

    /// Forgets all buffers and gives their memory back; the kernels stay loaded. Views from before stand for nothing.
    ///
    /// # Errors
    /// Something called before has failed.
    pub fn clear(&mut self) -> Result<(), CudaError> {
        self.device.free_all()?;
        self.buffers.clear();
        self.ids.clear();
        (self.room, self.scratch) = ((Pointer::NONE, 0), (Pointer::NONE, 0));
        (self.recorded, self.recording) = (BTreeMap::new(), None);
        // Its workspace was among the memory.
        (self.cublaslt, self.gemm) = (None, GemmChoice::Own);
        Ok(())
    }

    /// Where a view stands.
    pub(super) fn at(&self, view: View) -> Pointer {
        self.buffers[view.buffer.0].offset(view.offset, view.dtype)
    }

    /// Where a view that may be missing stands.
    pub(super) fn at_maybe(&self, view: Option<View>) -> Pointer {
        view.map_or(Pointer::NONE, |v| self.at(v))
    }

    /// Where ids stand.
    pub(super) fn ids_at(&self, view: IdView) -> Pointer {
        self.ids[view.buffer.0].offset(view.offset, Dtype::F32)
    }

    /// Where ids that may be missing stand.
    pub(super) fn ids_at_maybe(&self, view: Option<IdView>) -> Pointer {
        view.map_or(Pointer::NONE, |v| self.ids_at(v))
    }

    /// What runs the kernels.
    pub fn device(&mut self) -> &mut dyn Device {
        &mut *self.device
    }

    /// Memory for the operation under way, of any content. The next operation gets the same: work is in order.
    ///
    /// When an operation asks for more than any before it, it gets other memory, and what was there is not given back: calls that were put down
    /// go on with it. Under a key calls are made once before they are put down, so none asks for more while they are.
    pub(super) fn scratch(&mut self, bytes: usize) -> Pointer {
        let exact = self.device.is_exact();
        if self.scratch.1 < bytes || exact && self.scratch.1 != bytes {
            let bytes = if exact { bytes } else { bytes.next_power_of_two() };
            self.scratch = (self.take(bytes), bytes);
        }
        self.scratch.0
    }

    fn take(&mut self, bytes: usize) -> Pointer {
        if self.room.0 == Pointer::NONE && self.device.is_exact() {
            return must(self.device.alloc(bytes));
        }
        let bytes = bytes.next_multiple_of(ALIGNMENT).max(ALIGNMENT);
        if bytes <= self.room.1 {
            let at = self.room.0;
            self.room = (Pointer(at.0 + bytes as u64), self.room.1 - bytes);
            return at;
        }
        must(self.device.alloc(bytes))
    }
}

/// Where ids begin behind numbers that go in with them, in words: aligned as a buffer is.
fn first_id_behind(n_numbers: usize) -> usize {
    n_numbers.next_multiple_of(ALIGNMENT / 4)
}

/// The result; an operation has no way to fail but a bug or a broken device, after which nothing is worth going on with.
#[allow(clippy::panic)]
pub(super) fn must<T>(result: Result<T, CudaError>) -> T {
    match result {
        Ok(value) => value,
        Err(e) => panic!("{e}"),
    }
}

impl Backend for Cuda {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn logits_room(&self) -> LogitsRoom {
        LogitsRoom::GPU
    }

    fn alloc(&mut self, len: usize, dtype: Dtype) -> View {
        let at = self.take(len * dtype.bytes());
        self.buffers.push(at);
        let view = View { buffer: Buffer(self.buffers.len() - 1), dtype, offset: 0, len };
        self.fill(view, 0.0);
        view
    }

    fn alloc_ids(&mut self, len: usize) -> IdView {
        let at = self.take(len * 4);
        self.ids.push(at);
        let view = IdView { buffer: IdBuffer(self.ids.len() - 1), offset: 0, len };
        self.upload_ids(view, &vec![0; len]);
        view
    }

    fn upload(&mut self, to: View, values: &[f32]) {
        assert_eq!(to.len, values.len(), "sizes of a copy");
        let at = self.at(to);
        match to.dtype {
            Dtype::F32 => must(self.device.copy_in(at, cast_slice(values))),
            Dtype::Bf16 => {
                let rounded: Vec<Bf16> = values.iter().map(|x| Bf16::of(*x)).collect();
                must(self.device.copy_in(at, cast_slice(&rounded)));
            }
        }
    }

    fn upload_ids(&mut self, to: IdView, values: &[i32]) {
        assert_eq!(to.len, values.len(), "sizes of a copy");
        let at = self.ids_at(to);
        must(self.device.copy_in(at, cast_slice(values)));
    }

    fn download(&mut self, from: View, values: &mut [f32]) {
        assert_eq!(from.len, values.len(), "sizes of a copy");
        let at = self.at(from);
        match from.dtype {
            Dtype::F32 => must(self.device.copy_out(at, bytemuck::cast_slice_mut(values))),
            Dtype::Bf16 => {
                let mut rounded = vec![Bf16(0); values.len()];
                must(self.device.copy_out(at, bytemuck::cast_slice_mut(&mut rounded)));
                values.iter_mut().zip(rounded).for_each(|(v, r)| *v = r.get());
            }
        }
    }

    fn download_ids(&mut self, from: IdView, ids: &mut [i32]) {
        assert_eq!(from.len, ids.len(), "sizes of a copy");
        let at = self.ids_at(from);
        must(self.device.copy_out(at, bytemuck::cast_slice_mut(ids)));
    }

    fn alloc_inputs(&mut self, n_ids: usize, n_numbers: usize) -> (IdView, View) {
        let first_id = first_id_behind(n_numbers);
        let at = self.take((first_id + n_ids) * 4);
        self.buffers.push(at);
        self.ids.push(at.offset(first_id, Dtype::F32));
        let numbers = View { buffer: Buffer(self.buffers.len() - 1), dtype: Dtype::F32, offset: 0, len: n_numbers };
        let ids = IdView { buffer: IdBuffer(self.ids.len() - 1), offset: 0, len: n_ids };
        self.upload_inputs(ids, &vec![0; n_ids], numbers, &vec![0.0; n_numbers]);
        (ids, numbers)
    }

    fn upload_inputs(&mut self, ids: IdView, id_values: &[i32], numbers: View, values: &[f32]) {
        let first_id = first_id_behind(numbers.len);
        assert_eq!(self.at(numbers).offset(first_id, Dtype::F32), self.ids_at(ids), "ids and numbers were not made together");
        assert!(id_values.len() <= ids.len && values.len() == numbers.len, "sizes of a copy");
        let mut words = vec![0i32; first_id + id_values.len()];
        words[..values.len()].copy_from_slice(cast_slice(values));
        words[first_id..].copy_from_slice(id_values);
        let at = self.at(numbers);
        must(self.device.copy_in(at, cast_slice(&words)));
    }

    fn replays(&self) -> bool {
        true
    }

    fn replay(&mut self, key: u64) -> bool {
        if self.device.is_timing() {
            return false;
        }
        match self.recorded.get(&key) {
            Some(Recorded::As(number)) => {
                must(self.device.launch_captured(*number));
                return true;
            }
            Some(Recorded::Once) => self.recording = must(self.device.begin_capture()).then_some(key),
            None if self.recorded.len() < RECORDED_MAX => {
                self.recorded.insert(key, Recorded::Once);
            }
            None => {}
        }
        false
    }

    fn record_end(&mut self) {
        if let Some(key) = self.recording.take() {
            let number = must(self.device.end_capture());
            self.recorded.insert(key, Recorded::As(number));
            must(self.device.launch_captured(number));
        }
    }

    fn fill(&mut self, out: View, value: f32) {
        plain::fill(self, out, value);
    }

    fn copy(&mut self, out: View, x: View) {
        plain::copy(self, out, x);
    }

    fn add(&mut self, out: View, x: View) {
        plain::add(self, out, x);
    }

    fn gemm(&mut self, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) {
        gemm::gemm(self, out, a, b, bias, shape);
    }

    fn gemm_onto(&mut self, out: View, onto: View, a: View, b: View, bias: Option<View>, shape: Gemm) {
        gemm::gemm_onto(self, out, onto, a, b, bias, shape);
    }

    fn bias_backward(&mut self, dbias: View, dout: View) {
        bias::bias_backward(self, dbias, dout);
    }

    fn embedding_forward(&mut self, out: View, weight: View, ids: IdView, channels: usize, accumulate: bool) {
        embedding::embedding_forward(self, out, weight, ids, channels, accumulate);
    }

    fn embedding_backward(&mut self, dweight: View, dout: View, ids: IdView, channels: usize) {
        embedding::embedding_backward(self, dweight, dout, ids, channels);
    }

    fn pool_forward(&mut self, out: View, x: View, ranges: IdView, channels: usize) {
        pool::pool_forward(self, out, x, ranges, channels);
    }

    fn pool_backward(&mut self, dx: View, dout: View, ranges: IdView, channels: usize) {
        pool::pool_backward(self, dx, dout, ranges, channels);
    }

    fn norm_forward(&mut self, out: View, stats: View, x: View, weight: View, bias: Option<View>, norm: Norm) {
        norm::norm_forward(self, out, stats, x, weight, bias, norm);
    }

    fn norm_backward(&mut self, dx: View, dweight: View, dbias: Option<View>, dout: View, x: View, weight: View, stats: View, norm: Norm) {
        norm::norm_backward(self, dx, None, dweight, dbias, dout, x, weight, stats, norm);
    }

    fn norm_backward_rounded(
        &mut self,
        dx: View,
        rounded: View,
        dweight: View,
        dbias: Option<View>,
        dout: View,
        x: View,
        weight: View,
        stats: View,
        norm: Norm,
    ) {
        norm::norm_backward(self, dx, Some(rounded), dweight, dbias, dout, x, weight, stats, norm);
    }

    fn head_norm_forward(&mut self, out: View, rstd: View, x: View, weight: View, row: usize, first: usize, n_heads: usize, eps: f32) {
        head_norm::head_norm_forward(self, out, rstd, x, weight, row, first, n_heads, eps);
    }

    fn head_norm_backward(&mut self, dx: View, dweight: View, x: View, weight: View, rstd: View, row: usize, first: usize, n_heads: usize) {
        head_norm::head_norm_backward(self, dx, dweight, x, weight, rstd, row, first, n_heads);
    }

    fn rope(&mut self, x: View, table: View, positions: IdView, shape: Rope) {
        rope::rope(self, x, table, positions, shape);
    }

    fn attention_forward(&mut self, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) {
        attention::attention_forward(self, out, lse, qkv, documents, shape);
    }

    fn attention_backward(&mut self, dqkv: View, dout: View, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) {
        attention::attention_backward(self, dqkv, dout, out, lse, qkv, documents, shape);
    }

    fn attention_append(&mut self, cache: &KvCache, qkv: View, shape: Attention) {
        attention::attention_append(self, cache, qkv, shape);
    }

    fn attention_decode(&mut self, out: View, qkv: View, cache: &KvCache, keys_max: usize, shape: Attention) {
        attention::attention_decode(self, out, qkv, cache, keys_max, shape);
    }

    fn activation_forward(&mut self, out: View, x: View, width: usize, activation: Activation) {
        activation::activation_forward(self, out, x, width, activation);
    }

    fn activation_backward(&mut self, dx: View, dout: View, x: View, width: usize, activation: Activation) {
        activation::activation_backward(self, dx, dout, x, width, activation);
    }

    fn cross_entropy(&mut self, losses: View, logits: View, targets: IdView, scale: Option<View>, settings: CrossEntropy) {
        cross_entropy::cross_entropy(self, losses, logits, targets, scale, settings);
    }

    fn sample(&mut self, tokens: IdView, logits: View, settings: IdView, places: IdView, vocab: usize, n_classes: usize) {
        sample::sample(self, tokens, logits, settings, places, vocab, n_classes);
    }

    fn sum_squares(&mut self, out: View, x: View) {
        plain::sum_squares(self, out, x);
    }

    fn adamw(&mut self, params: View, working: Option<View>, m: View, v: View, grads: View, norm_squared: View, scalars: View) {
        adamw::adamw(self, params, working, m, v, grads, norm_squared, scalars);
    }

    fn muon(
        &mut self,
        params: View,
        working: Option<View>,
        momentum: View,
        grads: View,
        scratch: View,
        norm_squared: View,
        scalars: View,
        matrix: Muon,
    ) {
        muon::muon(self, params, working, momentum, grads, scratch, norm_squared, scalars, matrix);
    }
}
