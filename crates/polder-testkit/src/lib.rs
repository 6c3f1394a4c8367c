//! fixtures and tolerances for tests.
