//! adapters from tuning files.
