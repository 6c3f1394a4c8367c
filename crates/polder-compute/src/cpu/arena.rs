//! The CPU's buffers, and how operations borrow parts of them.

use bytemuck::{Pod, Zeroable};

use crate::number::Bf16;
use crate::{Buffer, Dtype, View};

/// What buffers are made of: whole cache lines, so that vectors of 64 bytes do not straddle two.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A borrowed view of either type.
pub enum Typed<F, H> {
    F32(F),
    Bf16(H),
}

pub type Slice<'a> = Typed<&'a [f32], &'a [Bf16]>;
pub type SliceMut<'a> = Typed<&'a mut [f32], &'a mut [Bf16]>;

/// Runs an expression with the named [`Typed`] views as slices of what they are.
macro_rules! typed {
    ([$name:ident $(, $rest:ident)*] $body:expr) => {
        match $name {
            $crate::cpu::arena::Typed::F32($name) => $crate::cpu::arena::typed!([$($rest),*] $body),
            $crate::cpu::arena::Typed::Bf16($name) => $crate::cpu::arena::typed!([$($rest),*] $body),
        }
    };
    ([] $body:expr) => { $body };
}
pub(crate) use typed;

/// The same for views that must be of one type.
macro_rules! alike {
    ([$($name:ident),+] $body:expr) => {
        match ($($name,)+) {
            ($($crate::cpu::arena::Typed::F32($name),)+) => $body,
            ($($crate::cpu::arena::Typed::Bf16($name),)+) => $body,
            _ => unreachable!("views of one type were expected"),
        }
    };
}
pub(crate) use alike;

struct Place {
    lines: Vec<Line>,
    dtype: Dtype,
    len: usize,
}

/// The flat buffers of a [`Cpu`](super::Cpu).
#[derive(Default)]
pub struct Arena(Vec<Place>);

impl Arena {
    pub fn alloc(&mut self, len: usize, dtype: Dtype) -> View {
        self.0.push(Place { lines: vec![Line::zeroed(); (len * dtype.bytes()).div_ceil(64)], dtype, len });
        View { buffer: Buffer(self.0.len() - 1), dtype, offset: 0, len }
    }

    fn check(&self, view: View) {
        let place = &self.0[view.buffer.0];
        assert_eq!(place.dtype, view.dtype, "a view is of another type than its buffer");
        assert!(view.offset + view.len <= place.len, "a view leaves its buffer");
    }

    pub fn get(&self, view: View) -> Slice<'_> {
        self.check(view);
        let range = view.offset..view.offset + view.len;
        let lines = &self.0[view.buffer.0].lines;
        match view.dtype {
            Dtype::F32 => Typed::F32(&bytemuck::cast_slice(lines)[range]),
            Dtype::Bf16 => Typed::Bf16(&bytemuck::cast_slice(lines)[range]),
        }
    }

    pub fn get_mut(&mut self, view: View) -> SliceMut<'_> {
        self.check(view);
        let range = view.offset..view.offset + view.len;
        let lines = &mut self.0[view.buffer.0].lines;
        match view.dtype {
            Dtype::F32 => Typed::F32(&mut bytemuck::cast_slice_mut(lines)[range]),
            Dtype::Bf16 => Typed::Bf16(&mut bytemuck::cast_slice_mut(lines)[range]),
        }
    }

    /// Lends outputs and inputs at once.
    ///
    /// # Panics
    /// When a view leaves its buffer or an output overlaps another view.
    pub fn lend<const O: usize, const I: usize>(&mut self, outs: [View; O], ins: [View; I]) -> ([SliceMut<'_>; O], [Slice<'_>; I]) {
        for (i, out) in outs.iter().enumerate() {
            assert!(!outs[..i].iter().chain(&ins).any(|other| out.overlaps(other)), "an output overlaps another argument");
        }
        outs.iter().chain(&ins).for_each(|view| self.check(*view));
        // SAFETY: every view is inside its live buffer and of its type, no output shares an element with any other view
        // (all checked above), and the borrow of `self` keeps the buffers in place while the slices live.
        let outs = outs.map(|v| unsafe {
            let start = self.0[v.buffer.0].lines.as_mut_ptr();
            match v.dtype {
                Dtype::F32 => Typed::F32(std::slice::from_raw_parts_mut(start.cast::<f32>().add(v.offset), v.len)),
                Dtype::Bf16 => Typed::Bf16(std::slice::from_raw_parts_mut(start.cast::<Bf16>().add(v.offset), v.len)),
            }
        });
        // SAFETY: as above.
        let ins = ins.map(|v| unsafe {
            let start = self.0[v.buffer.0].lines.as_ptr();
            match v.dtype {
                Dtype::F32 => Typed::F32(std::slice::from_raw_parts(start.cast::<f32>().add(v.offset), v.len)),
                Dtype::Bf16 => Typed::Bf16(std::slice::from_raw_parts(start.cast::<Bf16>().add(v.offset), v.len)),
            }
        });
        (outs, ins)
    }
}

impl<'a> Slice<'a> {
    /// The numbers of a view that is always f32.
    pub fn f32(self) -> &'a [f32] {
        match self {
            Self::F32(x) => x,
            Self::Bf16(_) => unreachable!("an f32 view was expected"),
        }
    }
}

impl<'a> SliceMut<'a> {
    /// The numbers of a view that is always f32.
    pub fn f32(self) -> &'a mut [f32] {
        match self {
            Self::F32(x) => x,
            Self::Bf16(_) => unreachable!("an f32 view was expected"),
        }
    }
}
