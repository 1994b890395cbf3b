//! End to end, against the real binary, the real model and real files: what a person or a script would see.
//!
//! The sample knowledge is indexed once for all tests, in a folder that outlives the run, so that only what changed
//! is embedded again; every test works on its own copy. Nothing waits a fixed time: conditions are polled until a
//! deadline, and the one test about time (killing the indexer) draws its moments from a fixed seed.

mod access;
mod browser;
mod channels;
mod commands;
mod console;
mod curation;
mod damage;
mod documents;
mod fault_proxy;
mod generator;
mod http;
mod interfaces;
mod kill;
mod layers;
mod malformed;
mod packed;
mod promises;
mod reading;
mod rep;
mod reranker;
mod support;
mod trouble;
mod watching;
