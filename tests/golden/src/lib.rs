//! What golden tests share: the clusters of `configs/clusters`, every one of which is a test input.
//!
//! A golden file holds what a reviewer should see change: after an intended change, write them anew
//! with `UPDATE_EXPECT=1 cargo test -p pangea-golden` and read the diff.

use pangea_topology::Cluster;
use std::fs;
use std::path::{Path, PathBuf};

/// A cluster file of the repository, read.
#[derive(Clone, Debug)]
pub struct Input {
    /// The file's name without its ending: `duo`.
    pub stem: String,
    /// The file.
    pub path: PathBuf,
    /// What it describes.
    pub cluster: Cluster,
}

/// The repository's `configs/clusters`.
pub fn clusters_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/clusters")
}

/// Every cluster file of the repository, in the order of their names.
///
/// # Panics
/// If one of them can't be read: with the error that a user would see.
pub fn clusters() -> Vec<Input> {
    let dir = clusters_dir();
    let files = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut inputs: Vec<Input> = files
        .map(|file| file.unwrap_or_else(|e| panic!("{}: {e}", dir.display())).path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| {
            let cluster = pangea_schema::load(&path).unwrap_or_else(|e| panic!("error: {e}"));
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Input { stem, path, cluster }
        })
        .collect();
    inputs.sort_by(|a, b| a.stem.cmp(&b.stem));
    inputs
}

/// The golden files of a directory below this crate whose input is gone, by their names without ending.
pub fn orphans(dir: &str, inputs: &[Input]) -> Vec<String> {
    let Ok(files) = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)) else {
        return Vec::new();
    };
    let stems =
        files.flatten().filter_map(|f| Some(f.path().file_stem()?.to_string_lossy().into_owned()));
    stems.filter(|stem| inputs.iter().all(|input| input.stem != *stem)).collect()
}
