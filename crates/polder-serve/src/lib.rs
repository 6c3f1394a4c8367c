//! HTTP over polder-infer.
