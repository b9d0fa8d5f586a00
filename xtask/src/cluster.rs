//! The cluster file that commands name, and the bundle made of it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use pangea_boot::prepare::{self, PrepareError};
use pangea_bundle::Summary;
use pangea_images::Packages;
use pangea_topology::Cluster;

use crate::progress::Progress;

/// Which cluster.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterFile {
    /// The cluster file, such as configs/clusters/duo.yaml
    #[arg(long = "cluster", value_name = "FILE")]
    pub(crate) path: PathBuf,
}

impl ClusterFile {
    /// Reads and checks it.
    pub(crate) fn load(&self) -> anyhow::Result<Cluster> {
        Ok(pangea_schema::load(&self.path)?)
    }
}

/// Where bundles go unless told otherwise.
pub(crate) fn default_out(cluster: &Cluster) -> PathBuf {
    Path::new("out/bundles").join(&cluster.name)
}

/// Builds a cluster's bundle, showing what is done.
pub(crate) fn bundle(
    file: &ClusterFile,
    cluster: &Cluster,
    out: &Path,
    refresh: bool,
) -> anyhow::Result<Summary> {
    let mut progress = Progress::new();
    let cache = Packages::default_cache();
    let opened = Packages::open(&cache).context("the package cache can't be used")?;
    let mut packages = opened.refresh(refresh);
    let built =
        prepare::bundle(cluster, &file.path, &mut packages, out, &mut |step| progress.step(step));
    drop(progress);
    built.map_err(|error| match error {
        // Its own words are complete.
        PrepareError::Bundle(error) => anyhow::Error::new(error),
        error => error.into(),
    })
}
