//! The binary `cau`: configuration, wiring, drain. `main` builds, waits, ends.

mod bridge;
mod cascade;
mod cli;
mod config;
mod ctl;
mod data_dir;
mod demo;
mod equipment;
mod failure;
mod figures;
mod loading;
mod log;
mod media;
mod places;
mod ports_file;
mod registrations;
mod restart;
mod serve;
mod signalling;
mod tls;
mod web;

use std::process::ExitCode;

use clap::Parser;

/// Gives memory back once calls have ended; glibc keeps what thousands of calls have strewn over its arenas.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            cli::say_error(&failure);
            ExitCode::FAILURE
        }
    }
}
