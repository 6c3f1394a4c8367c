//! the Backend trait and its halves.
