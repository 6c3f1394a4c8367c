//! How kernels are told: one row each, from which the launch, the check of prototypes, the table in `kernels/README.md` and the distance from the
//! roofline are made.

use super::device::{Device, Launch, TensorMap};
use super::{
    activation, adamw, attention, attention_sm90, bias, cross_entropy, embedding, gemm, gemm_sm90, head_norm, muon, norm, plain, pool,
    rope, sample,
};
use crate::Dtype;

/// An address on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pointer(pub u64);

impl Pointer {
    /// Stands for an argument that is not there.
    pub const NONE: Self = Self(0);

    /// Moves by numbers of a type.
    pub fn offset(self, numbers: usize, dtype: Dtype) -> Self {
        Self(self.0 + (numbers * dtype.bytes()) as u64)
    }
}

/// What a kernel's parameter is. Letters with a digit stand for the variant's first, second or third type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Out0,
    In0,
    In1,
    In2,
    OutF32,
    InF32,
    OutBf16,
    InBf16,
    OutIds,
    InIds,
    Int,
    Long,
    Float,
    /// A tensor map, passed by value.
    Map,
}

/// The Rust type of each [`Kind`].
#[allow(missing_docs)]
pub mod kinds {
    use super::{Pointer, TensorMap};
    pub type Out0 = Pointer;
    pub type In0 = Pointer;
    pub type In1 = Pointer;
    pub type In2 = Pointer;
    pub type OutF32 = Pointer;
    pub type InF32 = Pointer;
    pub type OutBf16 = Pointer;
    pub type InBf16 = Pointer;
    pub type OutIds = Pointer;
    pub type InIds = Pointer;
    pub type Int = i32;
    pub type Long = i64;
    pub type Float = f32;
    pub type Map = TensorMap;
}

impl Kind {
    /// The parameter's type in a kernel source.
    fn source(self, types: &[Dtype]) -> String {
        let number = |dtype: Dtype| match dtype {
            Dtype::F32 => "float",
            Dtype::Bf16 => "bf16",
        };
        let (constant, number) = match self {
            Self::Out0 => ("", number(types[0])),
            Self::In0 => ("const ", number(types[0])),
            Self::In1 => ("const ", number(types[1])),
            Self::In2 => ("const ", number(types[2])),
            Self::OutF32 => ("", "float"),
            Self::InF32 => ("const ", "float"),
            Self::OutBf16 => ("", "bf16"),
            Self::InBf16 => ("const ", "bf16"),
            Self::OutIds => ("", "int"),
            Self::InIds => ("const ", "int"),
            Self::Int => return "int".to_owned(),
            Self::Long => return "long long".to_owned(),
            Self::Float => return "float".to_owned(),
            Self::Map => return "const TensorMap".to_owned(),
        };
        format!("{constant}{number} *")
    }
}

/// A family of kernels that differ in the types of their numbers.
#[derive(Debug)]
pub struct Row {
    /// The family's name; a variant's types follow in the entry point's: `norm_forward_bf16_f32`.
    pub name: &'static str,
    /// The source below `kernels/`, without its extension.
    pub file: &'static str,
    /// The types of each variant.
    pub variants: &'static [&'static [Dtype]],
    /// Names and kinds of the parameters.
    pub args: &'static [(&'static str, Kind)],
    /// Threads a block.
    pub threads: u32,
    /// Blocks, as written.
    pub grid: &'static str,
    /// Bytes of dynamic shared memory, as written.
    pub shared: &'static str,
    /// Bytes that must be moved, as written.
    pub bytes: &'static str,
    /// Operations of matrix products, as written.
    pub flop: &'static str,
}

impl Row {
    /// The entry point of a variant.
    pub fn entry(&self, types: &[Dtype]) -> String {
        let mut name = self.name.to_owned();
        for dtype in types {
            name.push('_');
            name.push_str(match dtype {
                Dtype::F32 => "f32",
                Dtype::Bf16 => "bf16",
            });
        }
        name
    }
}

/// Prototypes of all entry points, for the emulation to be compiled against.
pub fn prototypes() -> String {
    let rows = table().flat_map(|row| row.variants.iter().map(move |types| (row, types)));
    let one = |(row, types): (&Row, &&[Dtype])| {
        let args: Vec<String> = row.args.iter().map(|(name, kind)| format!("{} {name}", kind.source(types))).collect();
        format!("extern \"C\" void {}({});\n", row.entry(types), args.join(", "))
    };
    rows.map(one).collect()
}

/// The emulation's list of entry points: each by name, with a function that unpacks its arguments.
pub fn emulation_entries() -> String {
    let mut text = "#include \"polder.cuh\"\nstruct Entry { const char *name; void (*call)(void **); };\n".to_owned();
    text.push_str("extern const Entry emulation_entries[];\nconst Entry emulation_entries[] = {\n");
    for (row, types) in table().flat_map(|row| row.variants.iter().map(move |types| (row, types))) {
        let entry = row.entry(types);
        let value = |(i, (_, kind)): (usize, &(&str, Kind))| format!("*static_cast<{} *>(a[{i}])", kind.source(types));
        let args: Vec<String> = row.args.iter().enumerate().map(value).collect();
        text.push_str(&format!("    {{\"{entry}\", [](void **a) {{ {entry}({}); }}}},\n", args.join(", ")));
    }
    text.push_str("    {nullptr, nullptr},\n};\n");
    text
}

/// All kernels.
pub fn table() -> impl Iterator<Item = &'static Row> {
    [
        activation::ROWS,
        adamw::ROWS,
        attention::ROWS,
        attention_sm90::ROWS,
        bias::ROWS,
        cross_entropy::ROWS,
        embedding::ROWS,
        gemm::ROWS,
        gemm_sm90::ROWS,
        head_norm::ROWS,
        muon::ROWS,
        norm::ROWS,
        plain::ROWS,
        pool::ROWS,
        rope::ROWS,
        sample::ROWS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Writes rows as functions of a module `launch`, and as `ROWS`.
macro_rules! kernels {
    (file $file:literal; types $t0:ident $t1:ident $t2:ident; $(
        $(#[$doc:meta])*
        $name:ident $([$($type:ident),*])+ ($($arg:ident: $kind:ident),* $(,)?)
        threads $threads:expr; grid $grid:expr; shared $shared:expr; bytes $bytes:expr; flop $flop:expr;
    )*) => {
        /// One function a row; `types` are the variant's.
        #[allow(unused_variables, unused_imports, clippy::too_many_arguments)]
        pub(in crate::cuda) mod launch {
            use super::*;
            use $crate::Dtype;
            use $crate::cuda::device::{Device, Launch};
            use $crate::cuda::table::{Argument, begin, ceil, kinds, line, type_bytes};
            $(
                $(#[$doc])*
                pub fn $name(device: &mut dyn Device, types: &[Dtype], $($arg: kinds::$kind),*) {
                    let [$t0, $t1, $t2] = type_bytes(types);
                    let grid: [i64; 3] = $grid;
                    let arguments = [$(Argument::from($arg)),*];
                    let (shared, bytes, flop) = (($shared) as usize, ($bytes) as f64, ($flop) as f64);
                    begin(device, Launch { row: &super::rows::$name, types, grid, shared, bytes, flop, arguments: &arguments });
                }
            )*
        }
        #[allow(non_upper_case_globals)]
        mod rows {
            #[allow(unused_imports)]
            use super::*;
            use $crate::Dtype;
            use $crate::cuda::table::{Kind, Row};
            $(
                pub static $name: Row = Row {
                    name: stringify!($name),
                    file: $file,
                    variants: &[$(&[$(Dtype::$type),*]),+],
                    args: &[$((stringify!($arg), Kind::$kind)),*],
                    threads: $threads,
                    grid: stringify!($grid),
                    shared: stringify!($shared),
                    bytes: stringify!($bytes),
                    flop: stringify!($flop),
                };
            )*
        }
        /// This file's kernels.
        pub(in crate::cuda) static ROWS: &[&$crate::cuda::table::Row] = &[$(&rows::$name),*];
    };
}
pub(in crate::cuda) use kernels;

/// A value that is passed to a kernel.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Argument {
    Pointer(Pointer),
    Int(i32),
    Long(i64),
    Float(f32),
    Map(TensorMap),
}

impl Argument {
    /// Where the value itself stands, as a launch wants it.
    pub fn address(&self) -> *mut std::ffi::c_void {
        let address: *const std::ffi::c_void = match self {
            Self::Pointer(x) => std::ptr::from_ref(x).cast(),
            Self::Int(x) => std::ptr::from_ref(x).cast(),
            Self::Long(x) => std::ptr::from_ref(x).cast(),
            Self::Float(x) => std::ptr::from_ref(x).cast(),
            Self::Map(x) => std::ptr::from_ref(x).cast(),
        };
        address.cast_mut()
    }
}

macro_rules! argument {
    ($($type:ty => $variant:ident),*) => {
        $(impl From<$type> for Argument {
            fn from(x: $type) -> Self {
                Self::$variant(x)
            }
        })*
    };
}
argument!(Pointer => Pointer, i32 => Int, i64 => Long, f32 => Float, TensorMap => Map);

/// Bytes a number of the variant's types.
pub fn type_bytes(types: &[Dtype]) -> [i64; 3] {
    [0, 1, 2].map(|i| types.get(i).map_or(0, |t| t.bytes() as i64))
}

/// Launches, unless there is nothing to do.
#[allow(clippy::panic)]
pub fn begin(device: &mut dyn Device, launch: Launch<'_>) {
    assert!(launch.row.variants.contains(&launch.types), "{} has no variant of types {:?}", launch.row.name, launch.types);
    if launch.grid.contains(&0) {
        return;
    }
    if let Err(e) = device.launch(&launch) {
        // An operation has no way to fail but a bug or a broken device, after which nothing is worth going on with.
        panic!("{e}");
    }
}

/// `a / b`, rounded up.
pub const fn ceil(a: i64, b: i64) -> i64 {
    (a + b - 1) / b
}

/// Blocks of one dimension.
pub const fn line(blocks: i64) -> [i64; 3] {
    [blocks, 1, 1]
}
