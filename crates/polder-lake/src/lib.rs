//! Delta tables, catalog, session, ingest.
