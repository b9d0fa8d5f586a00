//! `cargo xtask print`: what a cluster file means.

use std::process::ExitCode;

use pangea_topology::Topology;

use crate::cluster::ClusterFile;

/// Shows what a cluster file means: every default, the address map, the kernel's command line
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    file: ClusterFile,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let cluster = args.file.load()?;
    print!("{}", pangea_schema::render::expanded(&cluster));
    println!("\n{}", Topology::of(&cluster).layout_text().trim_end());
    println!("\nkernel command line\n  {}", pangea_bundle::command_line(&cluster));
    Ok(ExitCode::SUCCESS)
}
