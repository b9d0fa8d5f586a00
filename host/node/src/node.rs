//! `pangea node`: from the command line to a session and back.

use crate::{console, report};
use anyhow::{Context, bail};
use clap::Parser;
use pangea_manifest::Bundle;
use pangea_topology::NodeId;
use pangea_transport::{PORTS, Progress};
use pangea_vmm::{Config, Ending, Session, Stopper};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

/// What a node is told on its command line.
#[derive(Parser)]
pub(crate) struct Args {
    /// The bundle's directory, as `cargo xtask image` wrote it; the same on every host.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Which node of the cluster this host is.
    #[arg(long, value_name = "NAME")]
    node: String,
    /// Seconds to wait for the other nodes.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: u64,
    /// Print counters and latencies as a table at exit.
    #[arg(long)]
    stats: bool,
    /// Write them as JSON to a file at exit.
    #[arg(long, value_name = "FILE")]
    stats_json: Option<PathBuf>,
}

/// Runs the node; the process's exit code.
pub(crate) fn run(args: Args) -> anyhow::Result<u8> {
    let bundle = Bundle::open(&args.bundle)
        .with_context(|| format!("cannot use the bundle {}", args.bundle.display()))?;
    let me = find(&bundle, &args.node)?;
    let session = Session::new();
    stop_on_signals(session.stopper())?;
    let console = match me {
        NodeId::ROOT => Some(console::open(session.stopper())?),
        _ => None,
    };
    let (terminal, console) = match console {
        Some((terminal, console)) => (Some(terminal), Some(console)),
        None => (None, None),
    };
    tracing::info!(cluster = bundle.cluster().name, node = args.node, "starting");
    let progress = |progress: &Progress| tracing::info!("{progress}");
    let wait = Duration::from_secs(args.wait);
    let config = Config { bundle: &bundle, me, console, wait, ports: PORTS, progress: &progress };
    let result = session.run(config);
    drop(terminal);
    let summary = match result {
        Ok(summary) => summary,
        Err(error) => {
            let help = error.help();
            report::error(&error.into(), help.as_deref());
            return Ok(1);
        }
    };
    match &summary.ending {
        Ending::Failed(error) => {
            // Displayed by the error itself; the source chain is part of its words.
            report::line("error", &error.to_string());
            if let Some(help) = error.help() {
                report::line("help", &help);
            }
        }
        Ending::PowerOff | Ending::Reset | Ending::Interrupted(_) => {
            tracing::info!("{}", summary.ending);
        }
        ending => report::line("error", &ending.to_string()),
    }
    if args.stats {
        eprint!("{}", report::table(&summary, &bundle));
    }
    if let Some(path) = &args.stats_json {
        let json = report::json(&summary, &args.node);
        std::fs::write(path, json)
            .with_context(|| format!("cannot write the counters to {}", path.display()))?;
    }
    Ok(summary.ending.exit_code())
}

fn find(bundle: &Bundle, name: &str) -> anyhow::Result<NodeId> {
    let nodes = bundle.topology().nodes();
    match nodes.iter().find(|node| node.name == name) {
        Some(node) => Ok(node.id),
        None => {
            let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
            bail!("the bundle has no node {name:?}; its nodes are {}", names.join(", "))
        }
    }
}

/// The first signal ends the session in good order; a second one doesn't wait for that.
fn stop_on_signals(stopper: Stopper) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot handle signals")?;
    let body = move || {
        let mut seen = false;
        for signal in signals.forever() {
            if seen {
                console::restore();
                std::process::exit(130);
            }
            seen = true;
            stopper.stop(match signal {
                SIGINT => "interrupted",
                SIGTERM => "terminated",
                _ => "its terminal is gone",
            });
        }
    };
    let spawned = std::thread::Builder::new().name("signals".into()).spawn(body);
    match spawned {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == ErrorKind::WouldBlock => bail!("no room for another thread"),
        Err(e) => Err(e).context("cannot start the signal thread"),
    }
}
