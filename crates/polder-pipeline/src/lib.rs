//! SQL files to tables, and tables to files.
