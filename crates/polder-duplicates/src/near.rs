//! From documents to candidates, from candidates to verified pairs, from pairs to clusters.

use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};

use polder_text::jaccard_of_sets;
use rayon::prelude::*;

use crate::clusters::Clusters;
use crate::documents::{Documents, Shared};
use crate::found::Found;
use crate::partitions::{N_PARTITIONS, Partitions, Writer};
use crate::{DuplicatesError, NearOptions, Reader};

/// Documents that share a band and are compared each with each; more are compared with representatives.
const BUCKET_PAIRED_MAX: usize = 64;
/// Representatives of a larger bucket: its first documents that resemble none before them.
const REPRESENTATIVES_MAX: usize = 64;
/// Partitions that one task works through with one writer.
const TASK_PARTITIONS: usize = 8;

/// A search for near duplicates.
#[derive(Debug)]
pub struct NearDuplicates {
    shared: Arc<Shared>,
}

/// Pairs that were verified: two ranks and their similarity.
type Verified = Vec<(u32, u32, f64)>;

impl NearDuplicates {
    /// Starts a search.
    ///
    /// # Errors
    /// An option that means nothing.
    pub fn new(options: NearOptions) -> Result<Self, DuplicatesError> {
        Ok(Self { shared: Arc::new(Shared::new(options)?) })
    }

    /// Makes a reader; each thread has its own.
    pub fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }

    /// Memory that is held of the documents besides what the options allow: ids, places, and what clusters need.
    pub fn held_bytes(&self) -> usize {
        self.shared.held_bytes()
    }

    /// Compares what was read, on all threads of the current pool, once every reader has finished.
    ///
    /// # Errors
    /// Two documents with one id; the spill file cannot be written or read.
    pub fn finish(self) -> Result<Found, DuplicatesError> {
        let documents = take(&mut *self.shared.documents.lock().unwrap_or_else(PoisonError::into_inner));
        let order = documents.in_order()?;
        let mut search = Search { shared: &self.shared, documents: &documents, order: &order, ranks: vec![0; order.len()] };
        for (rank, doc_idx) in (0u32..).zip(&order) {
            search.ranks[*doc_idx as usize] = rank;
        }
        let clusters = search.clusters()?;
        Found::new(self.shared.clone(), documents, order, clusters)
    }
}

struct Search<'a> {
    shared: &'a Shared,
    documents: &'a Documents,
    /// Documents by rank.
    order: &'a [u32],
    /// Ranks by document; `u32::MAX` for one that equals another of lesser rank.
    ranks: Vec<u32>,
}

impl Search<'_> {
    fn clusters(&mut self) -> Result<Clusters, DuplicatesError> {
        let mut clusters = Clusters::new(self.order.len());
        self.join_equals(&mut clusters);
        let clusters = Mutex::new(clusters);
        let join = |pairs: Verified| {
            let mut clusters = clusters.lock().unwrap_or_else(PoisonError::into_inner);
            pairs.into_iter().for_each(|(a, b, jaccard)| clusters.join(a, b, jaccard));
        };
        let pairs = Partitions::<1>::new(self.shared.spill.clone());
        let all: Vec<usize> = (0..N_PARTITIONS).collect();
        all.par_chunks(TASK_PARTITIONS).try_for_each(|partitions| {
            let mut writer = Writer::new();
            for partition in partitions {
                join(self.candidates(*partition, &pairs, &mut writer)?);
            }
            writer.finish(&pairs)
        })?;
        all.par_iter().try_for_each(|partition| {
            join(self.verify(pairs.take(*partition)?)?);
            Ok(())
        })?;
        Ok(clusters.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Joins documents of one identity; the first of them stands for all from here on.
    fn join_equals(&mut self, clusters: &mut Clusters) {
        let ranked = (0u32..).zip(self.order).map(|(rank, doc_idx)| (self.documents.identity(*doc_idx as usize), rank));
        let mut equals: Vec<(u128, u32)> = ranked.filter(|(identity, _)| *identity != 0).collect();
        equals.par_sort_unstable();
        for same in equals.chunk_by(|a, b| a.0 == b.0) {
            let first = same[0].1;
            for (_, rank) in &same[1..] {
                clusters.join(first, *rank, 1.0);
                self.ranks[self.order[*rank as usize] as usize] = u32::MAX;
            }
        }
    }

    fn n_shingles(&self, rank: u32) -> usize {
        self.documents.n_shingles(self.order[rank as usize] as usize)
    }

    fn set(&self, rank: u32, to: &mut Vec<u64>) -> Result<(), DuplicatesError> {
        self.documents.set(self.order[rank as usize] as usize, &self.shared.spill, to)
    }

    /// Whether the sizes of two sets allow the similarity that is asked for.
    fn may_resemble(&self, a: u32, b: u32) -> bool {
        let (a, b) = (self.n_shingles(a) as f64, self.n_shingles(b) as f64);
        a.min(b) >= self.shared.options.jaccard_min * a.max(b) - 1e-6
    }

    /// Writes the candidates of a partition of bands, and returns what of large buckets is verified already.
    fn candidates(&self, partition: usize, pairs: &Partitions<1>, writer: &mut Writer<1>) -> Result<Verified, DuplicatesError> {
        let mut entries = self.shared.bands.take(partition)?;
        entries.retain_mut(|entry| {
            let rank = self.ranks[low(*entry) as usize];
            *entry = *entry >> 32 << 32 | u64::from(rank);
            rank != u32::MAX
        });
        entries.sort_unstable();
        let mut verified = Verified::new();
        for bucket in entries.chunk_by(|a, b| a >> 32 == b >> 32) {
            if bucket.len() > BUCKET_PAIRED_MAX {
                self.verify_large(bucket, &mut verified)?;
                continue;
            }
            for (i, a) in bucket.iter().map(|entry| low(*entry)).enumerate() {
                let partners = bucket[i + 1..].iter().map(|entry| low(*entry));
                for b in partners.filter(|b| self.may_resemble(a, *b)) {
                    let place = a as usize * N_PARTITIONS / self.order.len();
                    writer.push(pairs, place, [u64::from(a) << 32 | u64::from(b)])?;
                }
            }
        }
        Ok(verified)
    }

    /// Compares each document of a bucket, in order of id, with representatives: linear in the bucket's size.
    fn verify_large(&self, bucket: &[u64], verified: &mut Verified) -> Result<(), DuplicatesError> {
        let mut representatives: Vec<(u32, Vec<u64>)> = Vec::new();
        let mut set = Vec::new();
        for rank in bucket.iter().map(|entry| low(*entry)) {
            self.set(rank, &mut set)?;
            let mut is_new = true;
            for (other, of_other) in &representatives {
                if let Some(jaccard) = jaccard_of_sets(of_other, &set, self.shared.options.jaccard_min) {
                    verified.push((*other, rank, jaccard));
                    is_new = false;
                }
            }
            if is_new && representatives.len() < REPRESENTATIVES_MAX {
                representatives.push((rank, set.clone()));
            }
        }
        Ok(())
    }

    /// Compares candidates, each pair once.
    fn verify(&self, mut pairs: Vec<u64>) -> Result<Verified, DuplicatesError> {
        pairs.sort_unstable();
        pairs.dedup();
        let (mut set, mut of_other) = (Vec::new(), Vec::new());
        let mut verified = Verified::new();
        for partners in pairs.chunk_by(|a, b| a >> 32 == b >> 32) {
            let a = low(partners[0] >> 32);
            self.set(a, &mut set)?;
            for b in partners.iter().map(|pair| low(*pair)) {
                self.set(b, &mut of_other)?;
                if let Some(jaccard) = jaccard_of_sets(&set, &of_other, self.shared.options.jaccard_min) {
                    verified.push((a, b, jaccard));
                }
            }
        }
        Ok(verified)
    }
}

/// The lower half of a record: a document or a rank.
fn low(record: u64) -> u32 {
    // What is cut off is the other half.
    record as u32
}
