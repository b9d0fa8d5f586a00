//! What can go wrong while an image is built: each variant says what, where, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// An image could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file operation failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried, as a verb: "read", "create".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A program that the build needs isn't there.
    #[error("`{program}` can't be started, and {doing} needs it; {help}")]
    NoProgram {
        /// The program's name.
        program: String,
        /// What it was wanted for.
        doing: String,
        /// What to do next.
        help: &'static str,
        /// Why it didn't start.
        #[source]
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("{doing}: `{command}` ended with {status}\n{stderr}\nhelp: {help}")]
    Command {
        /// What it was wanted for.
        doing: String,
        /// The command line, as one would type it.
        command: String,
        /// Its exit status.
        status: String,
        /// The end of what it wrote to standard error.
        stderr: String,
        /// What to do next.
        help: &'static str,
    },
    /// No configured package source has a package for this role.
    #[error(
        "no package source of this system offers any of {names:?} ({role})\n{stderr}\nhelp: {help}"
    )]
    NoPackage {
        /// The role's word: "guest kernel".
        role: &'static str,
        /// The names that were asked for.
        names: Vec<String>,
        /// What apt said.
        stderr: String,
        /// What to do next.
        help: &'static str,
    },
    /// A file isn't the one that the package index, or the recorded resolution, names.
    #[error("{} has SHA-256 {found}, but {expected} is recorded; {help}", path.display())]
    Sha256 {
        /// The file.
        path: PathBuf,
        /// What it should be, in hex.
        expected: String,
        /// What it is, in hex.
        found: String,
        /// What to do next.
        help: &'static str,
    },
    /// A package, module or program doesn't contain what it should.
    #[error("{} {problem}", path.display())]
    Content {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The same guest path was given twice with different content.
    #[error("the image would hold `{path}` twice; give it once")]
    Twice {
        /// The path inside the image.
        path: String,
    },
    /// A path inside an image must be relative, without `..`, and shorter than the kernel's limit.
    #[error("`{path}` can't be a path inside an initramfs: {problem}")]
    GuestPath {
        /// The path inside the image.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file is too large for its archive format.
    #[error("`{path}` has {len} bytes; a newc archive holds at most {limit} a file")]
    TooLarge {
        /// The path inside the image.
        path: String,
        /// Its length in bytes.
        len: u64,
        /// The format's limit in bytes.
        limit: u64,
    },
}

impl ImageError {
    /// For `map_err`: wraps an I/O error with what was tried, and where.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ImageError {
        let path = path.to_owned();
        move |source| ImageError::Io { doing, path, source }
    }

    /// A file's content isn't what it should be.
    pub(crate) fn content(path: &Path, problem: impl Into<String>) -> ImageError {
        ImageError::Content { path: path.to_owned(), problem: problem.into() }
    }
}
