//! One file a command; each gets the settings and its flags, prints, and says how it went.

pub mod ask;
pub mod bench_answers;
pub mod bench_channels;
pub mod bench_documents;
pub mod bench_embed;
pub mod bench_search;
pub mod bench_start;
pub mod bench_vectors;
pub mod check;
pub mod customers;
pub mod eval;
pub mod extract;
pub mod index;
pub mod keys;
pub mod mcp;
pub mod measured;
pub mod models;
pub mod records;
pub mod search;
pub mod serve;
