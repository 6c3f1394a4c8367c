//! Where a loader stands: four numbers, and what they mean something for.

use polder_base::Digest;
use serde::{Deserialize, Serialize};

use super::{LoaderError, Order, Packing, Weight};

/// Where a loader stands. Neither the size of batches nor the number of machines or readers is part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderState {
    /// The seed of the order.
    pub seed: u64,
    /// Whole passes over the set that was seen most often.
    pub epoch: u64,
    /// Samples seen, of the order of all samples.
    pub samples: u64,
    /// Positions seen: samples times context.
    pub tokens: u64,
    /// What the order is an order of.
    pub fingerprint: Fingerprint,
}

/// What decides the order of samples and what is in them, besides the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// Content of each set, and its part.
    pub sets: Vec<(Digest, String)>,
    /// Weight of each set.
    pub weights: Vec<Weight>,
    /// Positions a sample.
    pub context: usize,
    /// How documents become samples.
    pub packing: Packing,
    /// How samples are ordered.
    pub order: Order,
    /// Settings of masked language modelling.
    pub masking: Option<Digest>,
}

impl Fingerprint {
    /// Compares with the fingerprint that a state was made with.
    ///
    /// # Errors
    /// The first thing that differs.
    pub fn accept(&self, found: &Self) -> Result<(), LoaderError> {
        let sets = |f: &Self| f.sets.iter().map(|(d, part)| format!("{part} of {}", &d.hex()[..12])).collect::<Vec<_>>().join(" and ");
        let weights = |f: &Self| f.weights.iter().map(Weight::to_string).collect::<Vec<_>>().join(" to ");
        let masking = |f: &Self| f.masking.map_or("none".to_owned(), |d| d.hex()[..12].to_owned());
        let other = |what, found, expected| Err(LoaderError::OtherState { what, found, expected });
        if found.sets != self.sets {
            return other("data set", sets(found), sets(self));
        }
        if found.weights != self.weights {
            return other("mixture", weights(found), weights(self));
        }
        if found.context != self.context {
            return other("context length", found.context.to_string(), self.context.to_string());
        }
        if found.packing != self.packing {
            return other("packing", found.packing.to_string(), self.packing.to_string());
        }
        if found.order != self.order {
            return other("order", format!("{:?}", found.order), format!("{:?}", self.order));
        }
        if found.masking != self.masking {
            return other("masking", masking(found), masking(self));
        }
        Ok(())
    }
}
