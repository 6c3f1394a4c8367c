//! tasks and scores over rendered requests.
