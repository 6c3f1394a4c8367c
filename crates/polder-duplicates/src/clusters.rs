//! Which documents belong together, and through which other one each came in.

/// Clusters of documents, by rank: their place in order of id.
#[derive(Debug)]
pub(crate) struct Clusters {
    parents: Vec<u32>,
    /// For each document the one most like it, of several the one of least rank; itself where there is none.
    matches: Vec<u32>,
    jaccards: Vec<f64>,
}

impl Clusters {
    pub(crate) fn new(n: usize) -> Self {
        let own: Vec<u32> = (0..n).map(|i| u32::try_from(i).unwrap_or(u32::MAX)).collect();
        Self { parents: own.clone(), matches: own, jaccards: vec![0.0; n] }
    }

    /// The least rank in a document's cluster.
    pub(crate) fn root(&mut self, mut of: u32) -> u32 {
        while self.parents[of as usize] != of {
            let grandparent = self.parents[self.parents[of as usize] as usize];
            self.parents[of as usize] = grandparent;
            of = grandparent;
        }
        of
    }

    /// Joins the clusters of a verified pair. The order of calls makes no difference to the result.
    pub(crate) fn join(&mut self, a: u32, b: u32, jaccard: f64) {
        for (one, other) in [(a, b), (b, a)] {
            let (best, best_jaccard) = (&mut self.matches[one as usize], &mut self.jaccards[one as usize]);
            if jaccard > *best_jaccard || (jaccard == *best_jaccard && other < *best) {
                (*best, *best_jaccard) = (other, jaccard);
            }
        }
        let (a, b) = (self.root(a), self.root(b));
        // The lesser one stays root, so that a root is the least of its cluster.
        self.parents[a.max(b) as usize] = a.min(b);
    }

    /// The document that is most like one, and how much.
    pub(crate) fn best(&self, of: u32) -> (u32, f64) {
        (self.matches[of as usize], self.jaccards[of as usize])
    }
}
