//! `cargo xtask`: the only build entry.
//!
//! Each command is a file that wires rooms together; what deserves a unit test lives in a room.

mod bench;
mod cargo;
mod cluster;
mod doctor;
mod explore;
mod image;
mod interrupt;
mod lab;
mod place;
mod print;
mod progress;
mod report;
mod run;
mod setup;
mod sim;
mod terminal;
mod test;
mod tier;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, runs and tests Pangea.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Image(image::Args),
    Print(print::Args),
    Run(run::Args),
    Doctor(doctor::Args),
    Lab(lab::Args),
    Test(test::Args),
    Bench(bench::Args),
    Sim(sim::Args),
    Explore(explore::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Image(args) => image::run(&args),
        Command::Print(args) => print::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Doctor(args) => doctor::run(args),
        Command::Lab(args) => lab::run(args),
        Command::Test(args) => test::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Sim(args) => sim::run(&args),
        Command::Explore(args) => Ok(explore::run(&args)),
    };
    result.unwrap_or_else(|error| report::failure(&error))
}
