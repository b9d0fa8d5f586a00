//! Reads `cluster.yaml`: text in, a checked [`Cluster`] out, or an error that points at the place.
//!
//! ```text
//! text --serde-saphyr--> raw (spans, strings) --valid--> Cluster --check--> Cluster within the limits
//!            |                                  |                    |
//!            +---------- SchemaError: file:line:column, value, limit, what to do
//! ```
//!
//! Every value is read as text first and understood here, so that each error is ours and has a place.
//! The limits themselves live in `pangea_topology::limits`. The keys are described in
//! `configs/clusters/README.md`.

mod nearest;
mod pairs;
mod quantity;
mod raw;
pub mod render;
mod report;
mod spans;
mod valid;
mod yaml;

pub use report::SchemaError;

use pangea_topology::Cluster;
use report::{Problem, Report};
use std::fs;
use std::path::{Path, PathBuf};

/// The version of the format: the file's first key.
pub const VERSION: u32 = 1;

/// Bytes of the largest file that is read: 64 nodes and all 2,016 pairs fit twice.
pub const MAX_FILE: u64 = 1 << 20;

/// Reads a cluster file. Kernel and initramfs that it names must be there.
pub fn load(path: &Path) -> Result<Cluster, SchemaError> {
    let failed = |cause| SchemaError::Read { path: path.to_owned(), cause };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE {
        return Err(SchemaError::TooLarge { path: path.to_owned(), size });
    }
    let bytes = fs::read(path).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|e| SchemaError::NotUtf8 {
        path: path.to_owned(),
        offset: e.utf8_error().valid_up_to(),
    })?;
    read(&text, &path.display().to_string(), Some(path))
}

/// Reads the text of a cluster file; `name` is the file's in errors. Looks at nothing but the text.
pub fn parse(text: &str, name: &str) -> Result<Cluster, SchemaError> {
    read(text, name, None)
}

/// Where a path that a cluster file names is: relative to the file.
pub fn beside(cluster_file: &Path, path: &Path) -> PathBuf {
    cluster_file.parent().unwrap_or(Path::new("")).join(path)
}

fn read(text: &str, name: &str, file: Option<&Path>) -> Result<Cluster, SchemaError> {
    let refused = |problems| SchemaError::Refused(Report::new(name, text, problems));
    let raw = yaml::read(text).map_err(|problem| refused(vec![problem]))?;
    let (cluster, spans) = valid::cluster(text, raw).map_err(refused)?;
    let mut problems: Vec<Problem> =
        cluster.violations().into_iter().map(|v| spans.point(v)).collect();
    if let Some(file) = file {
        let guest = &cluster.guest;
        for (key, path) in [("kernel", &guest.kernel), ("initrd", &guest.initrd)] {
            let Some(path) = path else { continue };
            let path = beside(file, path);
            if !path.is_file() {
                let title = format!("the {key} isn't a file");
                let span = spans.get(&format!("guest.{key}"));
                let label = format!("looked for {}", path.display());
                let help = "paths are relative to the cluster file; without this key the distribution's is used";
                problems.push(Problem::new(title, span, label, help));
            }
        }
    }
    if problems.is_empty() { Ok(cluster) } else { Err(refused(problems)) }
}
