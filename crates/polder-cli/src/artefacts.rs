//! Tokenizers and classifiers of the lake, for SQL functions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use polder_base::{Layout, Reference};
use polder_pipeline::open_classifier;
use polder_text::classifier::Classifier;
use polder_tokenizer::Tokenizer;

use crate::stages;

/// Opens artefacts by name and keeps them.
pub struct LakeArtefacts {
    layout: Layout,
    open: Mutex<HashMap<String, Arc<Tokenizer>>>,
    classifiers: Mutex<HashMap<Reference, Arc<Classifier>>>,
}

impl LakeArtefacts {
    /// Looks under a lake's folder.
    pub fn new(layout: Layout) -> Self {
        Self { layout, open: Mutex::default(), classifiers: Mutex::default() }
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

    fn classifier(&self, name: &str) -> Result<Arc<Classifier>, String> {
        let no_name = || format!("`{name}` is not a classifier's name");
        let reference = stages::named("classifiers", name).map_err(|_| no_name())?;
        // The newest version may be another one tomorrow; a version stays what it is.
        let reference = stages::newest_in(&self.layout, &reference);
        let mut open = self.classifiers.lock().map_err(|_| "another query failed while it opened a classifier".to_owned())?;
        if let Some(classifier) = open.get(&reference) {
            return Ok(classifier.clone());
        }
        let folder = self
            .layout
            .artefact(&reference)
            .filter(|f| f.is_dir())
            .ok_or_else(|| format!("there is no {reference} in this lake; `polder classifier show` lists those that are"))?;
        let classifier = Arc::new(open_classifier(&folder).map_err(|e| format!("cannot open {reference}: {e}"))?);
        open.insert(reference, classifier.clone());
        Ok(classifier)
    }
}
