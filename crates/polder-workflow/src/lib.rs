//! steps with resume state.
