//! What the service needs of a model.

use std::ops::ControlFlow;

use polder_base::{Advice, ExitKind};
use polder_infer::{Engine, GenerateOptions, Generation};

/// Continues prompts; called from several threads at once.
pub trait Complete: Send + Sync + 'static {
    /// Continues a prompt and hands text out as it comes.
    ///
    /// # Errors
    /// A prompt that cannot be continued, or a failure of the model.
    fn complete(
        &self,
        prompt: &str,
        options: &GenerateOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, CompleteError>;

    /// Whether it can be asked; what is not well once stays so.
    fn is_well(&self) -> bool {
        true
    }
}

/// Why a prompt was not continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompleteError {
    /// The request cannot be answered as it is.
    Refused(String),
    /// The model failed.
    Failed(String),
}

impl Complete for Engine {
    fn complete(
        &self,
        prompt: &str,
        options: &GenerateOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, CompleteError> {
        self.generate(prompt, options, on_text).map_err(|e| match e.exit() {
            ExitKind::Usage => CompleteError::Refused(e.to_string()),
            _ => CompleteError::Failed(e.to_string()),
        })
    }

    fn is_well(&self) -> bool {
        Self::is_well(self)
    }
}
