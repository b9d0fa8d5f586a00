//! `pangea`: the host runtime, one process on each host of the cluster.
//!
//! ```text
//! host a:  pangea node --bundle BUNDLE --node a      (the root node: the guest's console is here)
//! host b:  pangea node --bundle BUNDLE --node b
//! ```
//!
//! Exit codes: 0 the guest powered itself off; 1 an error; 2 wrong usage; 3 a node was lost; 4 the
//! guest asked for a reset; 130 stopped by a signal or from the console.

mod console;
mod escape;
mod node;
mod report;

use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;

/// Makes several hosts one machine.
#[derive(Parser)]
#[command(name = "pangea", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one node of a cluster on this host.
    Node(node::Args),
}

fn main() -> ExitCode {
    let Cli { command: Command::Node(args) } = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("PANGEA_LOG")
                .unwrap_or_else(|_| "info".into()),
        )
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    match node::run(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report::error(&error, None);
            ExitCode::from(1)
        }
    }
}
