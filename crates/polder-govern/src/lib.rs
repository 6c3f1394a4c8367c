//! facts, lineage, cards, gates.
