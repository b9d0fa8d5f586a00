//! `cargo xtask explore`: the coherence protocol in every interleaving of small clusters.

use std::process::ExitCode;
use std::time::Instant;

use pangea_sim::{Small, explore};

/// Visits every state of small clusters, in every order of messages, accesses and deadlines
///
/// Without options: clusters of two and three nodes, with and without a crash at every step. States are
/// counted; a violation comes with all steps that lead to it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One cluster of so many nodes, with a CPU each
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4))]
    nodes: Option<u8>,
    /// Its pages
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=4), requires = "nodes")]
    pages: u64,
    /// Accesses of each CPU
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8), requires = "nodes")]
    accesses: u32,
    /// A node may crash, at any step
    #[arg(long, requires = "nodes")]
    crash: bool,
    /// Give up after so many states (some 60 bytes each)
    #[arg(long, default_value_t = 100_000_000)]
    limit: u64,
}

/// What is explored without options: a minute or two.
const USUAL: [Small; 8] = [
    Small { nodes: 2, pages: 1, accesses: 5, crash: false },
    Small { nodes: 2, pages: 1, accesses: 4, crash: true },
    Small { nodes: 2, pages: 2, accesses: 3, crash: false },
    Small { nodes: 2, pages: 2, accesses: 2, crash: true },
    Small { nodes: 3, pages: 1, accesses: 2, crash: false },
    Small { nodes: 3, pages: 1, accesses: 2, crash: true },
    Small { nodes: 3, pages: 2, accesses: 1, crash: false },
    Small { nodes: 3, pages: 2, accesses: 1, crash: true },
];

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    let &Args { nodes, pages, accesses, crash, limit } = args;
    let one = nodes.map(|nodes| Small { nodes, pages, accesses, crash });
    let wanted = one.as_ref().map_or(&USUAL[..], std::slice::from_ref);
    let mut whole = true;
    for &small in wanted {
        let started = Instant::now();
        match explore(small, limit) {
            Ok(explored) => {
                whole &= !explored.cut;
                println!("{small}: {explored}, {:.1} s", started.elapsed().as_secs_f64());
            }
            Err(found) => {
                whole = false;
                println!("{found}");
            }
        }
    }
    ExitCode::from(u8::from(!whole))
}
