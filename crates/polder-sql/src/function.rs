//! How a plain closure over [`Arguments`] becomes a function that DataFusion can plan.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion_common::types::{NativeType, logical_float64, logical_int64, logical_string};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{
    Coercion, ColumnarValue, DocSection, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    TypeSignatureClass, Volatility,
};

use crate::arguments::Arguments;

pub(crate) const SECTION: DocSection = DocSection { include: true, label: "Polder Functions", description: None };

type Run = Arc<dyn Fn(&Arguments<'_>) -> Result<ArrayRef> + Send + Sync>;

/// What an argument may be.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Any string type, as it comes.
    Text,
    /// Any integer type, as Int64.
    Integer,
    /// Any number, as Float64.
    Float,
    /// Lists, and text where the function takes both; the closure converts.
    Any,
}

/// One argument: its name, its kind and what it means.
pub(crate) type Argument = (&'static str, Kind, &'static str);

/// The parts of a function that differ from one to the next.
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) example: &'static str,
    pub(crate) required: &'static [Argument],
    pub(crate) optional: &'static [Argument],
    pub(crate) returns: DataType,
}

impl Definition {
    /// A function of its arguments alone.
    pub(crate) fn udf(self, run: impl Fn(&Arguments<'_>) -> Result<ArrayRef> + Send + Sync + 'static) -> ScalarUDF {
        self.build(Volatility::Immutable, Arc::new(run))
    }

    /// A function of its arguments and of an artefact that may be another tomorrow.
    pub(crate) fn stable_udf(self, run: impl Fn(&Arguments<'_>) -> Result<ArrayRef> + Send + Sync + 'static) -> ScalarUDF {
        self.build(Volatility::Stable, Arc::new(run))
    }

    fn build(self, volatility: Volatility, run: Run) -> ScalarUDF {
        // Optional arguments are left out from the last on.
        let coercions = |arguments: &[Argument]| TypeSignature::Coercible(arguments.iter().map(|(_, kind, _)| coercion(*kind)).collect());
        let all: Vec<Argument> = self.required.iter().chain(self.optional).copied().collect();
        let signature = if self.optional.is_empty() {
            coercions(self.required)
        } else {
            TypeSignature::OneOf((self.required.len()..=all.len()).filter_map(|n| all.get(..n)).map(coercions).collect())
        };
        let names = |arguments: &[Argument]| arguments.iter().map(|(name, _, _)| *name).collect::<Vec<_>>().join(", ");
        let optional = if self.optional.is_empty() { String::new() } else { format!(" [, {}]", names(self.optional)) };
        let syntax = format!("{}({}{optional})", self.name, names(self.required));
        let mut documentation = Documentation::builder(SECTION, self.description, syntax).with_sql_example(self.example);
        for (name, _, meaning) in &all {
            documentation = documentation.with_argument(*name, *meaning);
        }
        ScalarUDF::new_from_impl(Function {
            name: self.name,
            signature: Signature::new(signature, volatility),
            returns: self.returns,
            documentation: documentation.build(),
            run,
        })
    }
}

pub(crate) fn coercion(kind: Kind) -> Coercion {
    let native = TypeSignatureClass::Native;
    match kind {
        Kind::Text => Coercion::new_exact(native(logical_string())),
        Kind::Integer => Coercion::new_implicit(native(logical_int64()), vec![TypeSignatureClass::Integer], NativeType::Int64),
        Kind::Float => Coercion::new_implicit(native(logical_float64()), vec![TypeSignatureClass::Numeric], NativeType::Float64),
        Kind::Any => Coercion::new_exact(TypeSignatureClass::Any),
    }
}

struct Function {
    name: &'static str,
    signature: Signature,
    returns: DataType,
    documentation: Documentation,
    run: Run,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("name", &self.name).finish_non_exhaustive()
    }
}

// Two functions of one name differ only where they look up artefacts; one session holds one set of them.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Constants give a constant, so that planning can fold them.
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let n_rows = if constant { 1 } else { args.number_rows };
        let array = (self.run)(&Arguments::new(&args.args, n_rows))?;
        Ok(if constant { ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?) } else { ColumnarValue::Array(array) })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}
