//! `cargo xtask bench`: the same guest on one node and on several, measured in one run.
//!
//! Figures are for comparison within a run only: they depend on the machine, and in the lab on
//! emulation. Nothing is asserted.

mod measure;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use pangea_boot::machine::Kvm;
use pangea_boot::prepare;
use pangea_topology::{Cluster, Links, Node};

use crate::cluster::ClusterFile;
use crate::interrupt;
use crate::place::{self, Place};
use crate::setup::{self, Consent};
use measure::Bench;

/// Measures the same guest on one node and on the cluster's: boot time, remote faults
///
/// The guest boots to its init, reports what it sees, and powers off. Both boots are made in one
/// run, so that their ratio means something.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cluster to compare with one node of as many CPUs and as much memory
    #[arg(long = "cluster", value_name = "FILE", default_value = "configs/clusters/duo.yaml")]
    path: PathBuf,
    /// Write the figures as JSON to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the nodes run, rather than where they can
    #[arg(long, value_enum)]
    on: Option<Place>,
    /// After which a boot is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u64,
    #[command(flatten)]
    consent: Consent,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let file = ClusterFile { path: args.path };
    let cluster = file.load()?;
    let (place, why) = Place::choose(args.on, &Kvm::look());
    setup::provide(place.needs(), args.consent)?;
    let bench = Bench {
        place,
        file,
        program: prepare::program()?,
        limit: std::time::Duration::from_secs(args.timeout),
        stop: interrupt::flag()?,
    };
    let mut boots = Vec::new();
    for cluster in [one_node(&cluster), cluster] {
        place::announce(&cluster.name, cluster.nodes.len(), &why);
        boots.push(bench.boot(cluster)?);
    }
    print!("{}", table::of(&boots));
    if let Some(path) = &args.json {
        let text = format!("{:#}\n", table::json(place.name(), &boots));
        std::fs::write(path, text).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A cluster of one node with all CPUs and all memory.
fn one_node(cluster: &Cluster) -> Cluster {
    let root = cluster.nodes.first();
    let node = Node {
        name: root.map_or("a", |node| &node.name).to_owned(),
        address: root.map_or("127.0.0.1", |node| &node.address).to_owned(),
        vcpus: cluster.nodes.iter().map(|node| node.vcpus).sum(),
        memory: cluster.nodes.iter().map(|node| node.memory).sum(),
    };
    Cluster {
        name: "one-node".to_owned(),
        nodes: vec![node],
        links: Links::default(),
        ..cluster.clone()
    }
}
