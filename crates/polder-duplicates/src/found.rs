//! What a search found: one row for each document that is not its cluster's keeper.

use std::sync::Arc;

use polder_text::jaccard_of_sets;

use crate::DuplicatesError;
use crate::clusters::Clusters;
use crate::documents::{Documents, Shared};

/// Clusters and their keepers.
#[derive(Debug)]
pub struct Found {
    shared: Arc<Shared>,
    documents: Documents,
    order: Vec<u32>,
    clusters: Clusters,
    /// Root and keeper, by rank.
    roots: Vec<u32>,
    keepers: Vec<u32>,
    duplicates: Vec<u32>,
}

/// A document that repeats others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duplicate<'a> {
    /// The document.
    pub doc_id: &'a str,
    /// The keeper of its cluster.
    pub dup_of: &'a str,
    /// The least id in its cluster, whichever document is kept.
    pub cluster_id: &'a str,
    /// Similarity to the keeper: below what was asked for where a chain of pairs leads there.
    pub jaccard: f64,
    /// The document most like it.
    pub match_id: &'a str,
    /// Similarity to that one.
    pub match_jaccard: f64,
}

impl Found {
    pub(crate) fn new(shared: Arc<Shared>, documents: Documents, order: Vec<u32>, mut clusters: Clusters) -> Result<Self, DuplicatesError> {
        let n = u32::try_from(order.len()).map_err(|_| DuplicatesError::TooMany)?;
        let roots: Vec<u32> = (0..n).map(|rank| clusters.root(rank)).collect();
        let mut keepers: Vec<u32> = (0..n).collect();
        let preference = |rank: u32| documents.preference(order[rank as usize] as usize);
        for (rank, root) in (0..n).zip(&roots) {
            let keeper = &mut keepers[*root as usize];
            if preference(rank) < preference(*keeper) {
                *keeper = rank;
            }
        }
        let duplicates = (0..n).filter(|rank| keepers[roots[*rank as usize] as usize] != *rank).collect();
        Ok(Self { shared, documents, order, clusters, roots, keepers, duplicates })
    }

    /// Number of documents that were read.
    pub fn n_documents(&self) -> usize {
        self.order.len()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.duplicates.len()
    }

    /// Whether no document repeats another.
    pub fn is_empty(&self) -> bool {
        self.duplicates.is_empty()
    }

    /// Bytes that did not fit into memory.
    pub fn spilled_bytes(&self) -> u64 {
        self.shared.spill.stored_bytes()
    }

    fn id(&self, rank: u32) -> &str {
        self.documents.id(self.order[rank as usize] as usize)
    }

    /// Returns a row; rows are in order of id.
    ///
    /// # Errors
    /// The spill file cannot be read.
    pub fn row(&self, i: usize) -> Result<Duplicate<'_>, DuplicatesError> {
        let rank = self.duplicates[i];
        let root = self.roots[rank as usize];
        let keeper = self.keepers[root as usize];
        let (other, match_jaccard) = self.clusters.best(rank);
        let jaccard = if other == keeper { match_jaccard } else { self.jaccard(rank, keeper)? };
        Ok(Duplicate {
            doc_id: self.id(rank),
            dup_of: self.id(keeper),
            cluster_id: self.id(root),
            jaccard,
            match_id: self.id(other),
            match_jaccard,
        })
    }

    fn jaccard(&self, a: u32, b: u32) -> Result<f64, DuplicatesError> {
        let (a, b) = (self.order[a as usize] as usize, self.order[b as usize] as usize);
        if self.documents.identity(a) == self.documents.identity(b) {
            return Ok(1.0);
        }
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        self.documents.set(a, &self.shared.spill, &mut of_a)?;
        self.documents.set(b, &self.shared.spill, &mut of_b)?;
        Ok(jaccard_of_sets(&of_a, &of_b, 0.0).unwrap_or_default())
    }
}
