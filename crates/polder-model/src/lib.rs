//! model families over Backend, checkpoints, formats.
