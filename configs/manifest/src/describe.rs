//! The manifest of a directory that the builder has filled.

use crate::{BundleError, Digest, Entry, Input, Manifest, VERSION, digest_file, files, path};
use pangea_topology::{Cluster, Topology};
use std::fs;
use std::path::Path;

impl Manifest {
    /// The manifest of `dir`, with the digest of every file below it but `manifest.json`: writing that
    /// is the last step of a build. It depends on the files' paths and bytes, `inputs` in their order,
    /// and nothing else.
    pub fn describe(
        dir: &Path,
        cluster: &Cluster,
        tool_version: &str,
        inputs: Vec<Input>,
    ) -> Result<Manifest, BundleError> {
        let mut outputs = Vec::new();
        collect(dir, "", &mut outputs)?;
        outputs.sort_by(|a, b| a.path.cmp(&b.path));
        if outputs.len() > Manifest::MAX_OUTPUTS {
            return Err(BundleError::TooMany { count: outputs.len() });
        }
        let layout_sha256 = Digest::of(Topology::of(cluster).layout_text().as_bytes());
        Ok(Manifest {
            version: VERSION,
            tool_version: tool_version.to_owned(),
            cluster: cluster.name.clone(),
            layout_sha256,
            inputs,
            outputs,
        })
    }
}

/// Adds the files below `dir`, whose path in the bundle is `under`.
fn collect(dir: &Path, under: &str, outputs: &mut Vec<Entry>) -> Result<(), BundleError> {
    let failed = |cause| BundleError::Read { path: dir.to_owned(), cause };
    for file in fs::read_dir(dir).map_err(failed)? {
        let file = file.map_err(failed)?;
        let path = format!("{under}{}", file.file_name().to_string_lossy());
        if file.file_type().map_err(failed)?.is_dir() {
            collect(&file.path(), &format!("{path}/"), outputs)?;
        } else if path != files::MANIFEST {
            let (sha256, size) = digest_file(&file.path())?;
            let entry = Entry { path, sha256, size };
            path::resolve(dir, &entry)?;
            outputs.push(entry);
        }
    }
    Ok(())
}
