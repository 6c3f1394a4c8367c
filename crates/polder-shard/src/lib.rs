//! token shards: write, read, verify, order.
