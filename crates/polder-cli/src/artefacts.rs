//! Tokenizers of the lake, for SQL functions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use polder_base::{Layout, Reference};
use polder_tokenizer::Tokenizer;

/// Opens artefacts by name and keeps them.
pub struct LakeArtefacts {
    layout: Layout,
    open: Mutex<HashMap<String, Arc<Tokenizer>>>,
}

impl LakeArtefacts {
    /// Looks under a lake's folder.
    pub fn new(layout: Layout) -> Self {
        Self { layout, open: Mutex::default() }
    }
}

impl polder_sql::Artefacts for LakeArtefacts {
    fn tokenizer(&self, name: &str) -> Result<Arc<Tokenizer>, String> {
        let mut open = self.open.lock().map_err(|_| "another query failed while it opened a tokenizer".to_owned())?;
        if let Some(tokenizer) = open.get(name) {
            return Ok(tokenizer.clone());
        }
        let reference: Reference = format!("tokenizers/{name}").parse().map_err(|_| format!("`{name}` is not a tokenizer's name"))?;
        let folder = self.layout.artefact(&reference).ok_or_else(|| format!("`{name}` is not a tokenizer's name"))?;
        let tokenizer = Tokenizer::open(&folder.join("tokenizer.json")).map_err(|e| format!("cannot open {reference}: {e}"))?;
        let tokenizer = Arc::new(tokenizer);
        open.insert(name.to_owned(), tokenizer.clone());
        Ok(tokenizer)
    }
}
