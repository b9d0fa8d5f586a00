//! `cargo xtask image`: a cluster's bundle.

use std::path::PathBuf;
use std::process::ExitCode;

use pangea_manifest::Source;

use crate::cluster::{self, ClusterFile};
use crate::setup::{self, Consent, Need, count};

/// Builds a cluster's bundle: ACPI tables, kernel, initramfs, manifest
///
/// The kernel and what is in the initramfs come from the distribution's packages, without root,
/// unless the cluster file names files. The same inputs give the same bytes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    file: ClusterFile,
    /// Where the bundle goes; out/bundles/NAME without it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Ask the distribution for its present packages rather than using those fetched before
    #[arg(long)]
    refresh: bool,
    #[command(flatten)]
    consent: Consent,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let cluster = args.file.load()?;
    setup::provide(&[Need::Cc], args.consent)?;
    let out = args.out.clone().unwrap_or_else(|| cluster::default_out(&cluster));
    let built = cluster::bundle(&args.file, &cluster, &out, args.refresh)?;
    for input in &built.manifest.inputs {
        let source = match &input.source {
            Source::Package { name, version } => format!("package {name} {version}"),
            Source::File(name) => format!("file {name}"),
        };
        println!("{:8} {source}", input.role);
    }
    let outputs = &built.manifest.outputs;
    let mib = outputs.iter().map(|output| output.size).sum::<u64>() as f64 / f64::from(1 << 20);
    println!("files    {}, {mib:.1} MiB", count(outputs.len(), "file"));
    println!("id       {}", built.id);
    println!("bundle   {}", built.dir.display());
    Ok(ExitCode::SUCCESS)
}
