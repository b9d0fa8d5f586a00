//! What a cluster needs before it can run: the `pangea` program, and a bundle.
//!
//! ```text
//!   cargo --> pangea                       cluster --+
//!   packages, probe --> kernel, initrd --------------+--> bundle
//!   (or the files that the cluster names)
//! ```

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pangea_bundle::{GuestFiles, Input, Summary};
use pangea_images::{ImageError, Packages, Role, guest, probe};
use pangea_manifest::Source;
use pangea_topology::Cluster;

/// Why something couldn't be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Kernel, initramfs or test program couldn't be had.
    #[error("the guest's image can't be built")]
    Image(#[from] ImageError),
    /// The bundle couldn't be built.
    #[error("the bundle can't be built")]
    Bundle(#[from] pangea_bundle::BundleError),
    /// A file that the cluster names isn't there.
    #[error("the cluster's {role} {} can't be read", path.display())]
    File {
        /// `kernel` or `initrd`.
        role: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// cargo couldn't be started.
    #[error("cargo can't be started")]
    Cargo(#[source] std::io::Error),
    /// cargo failed; it said why on standard error.
    #[error("the program `pangea` doesn't build: cargo ended with {0}")]
    Build(std::process::ExitStatus),
    /// cargo built something else.
    #[error("cargo built `pangea` but doesn't tell where it is")]
    NoProgram,
}

/// Builds the `pangea` program, optimized; cargo's own messages go to standard error.
pub fn program() -> Result<PathBuf, PrepareError> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace());
    cargo.args(["build", "--release", "--package", "pangea-node", "--bin", "pangea"]);
    let output = cargo
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(PrepareError::Cargo)?;
    if !output.status.success() {
        return Err(PrepareError::Build(output.status));
    }
    // One JSON object a line; the artifact that has an executable is ours.
    let lines = output.stdout.split(|&byte| byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let mut programs = messages.filter_map(|message| Some(message["executable"].as_str()?.into()));
    programs.next().ok_or(PrepareError::NoProgram)
}

/// Builds a cluster's bundle in `out`. `file` is the cluster file, beside which kernel and initramfs
/// are looked for where the cluster names them.
pub fn bundle(
    cluster: &Cluster,
    file: &Path,
    packages: &mut Packages,
    out: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<Summary, PrepareError> {
    // Lives until the bundle has a copy.
    let staging = tempfile::tempdir().map_err(|source| ImageError::Io {
        doing: "make a directory in",
        path: std::env::temp_dir(),
        source,
    })?;
    let kernel = match &cluster.guest.kernel {
        Some(path) => named("kernel", file, path)?,
        None => {
            let (path, _) = guest::kernel(packages, progress)?;
            Input { path, source: package(packages, Role::GuestKernel, progress)? }
        }
    };
    let initrd = match &cluster.guest.initrd {
        Some(path) => named("initrd", file, path)?,
        None => {
            let probe = probe::build(&workspace(), &staging.path().join("probe"), progress)?;
            let (path, _) = guest::initrd(packages, &probe, staging.path(), progress)?;
            // What the project itself adds to busybox is in the tool's version.
            Input { path, source: package(packages, Role::Busybox, progress)? }
        }
    };
    let guest = GuestFiles { kernel, initrd: Some(initrd) };
    let mut step = |now: pangea_bundle::Progress| progress(&now.step.to_string());
    Ok(pangea_bundle::build(cluster, guest, out, &mut step)?)
}

fn package(
    packages: &mut Packages,
    role: Role,
    progress: &mut dyn FnMut(&str),
) -> Result<Source, PrepareError> {
    let package = packages.fetch(role, progress)?;
    Ok(Source::Package { name: package.name, version: package.version })
}

fn named(role: &'static str, file: &Path, path: &Path) -> Result<Input, PrepareError> {
    let path = pangea_schema::beside(file, path);
    std::fs::metadata(&path).map_err(|source| PrepareError::File {
        role,
        path: path.clone(),
        source,
    })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Input { path, source: Source::File(name) })
}

/// The directory of the workspace that this crate was built in.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
