//! What a bundle directory holds, and how it is checked.
//!
//! ```text
//! bundle/manifest.json    what went in, what came out, SHA-256 of each; its own SHA-256 is the bundle's id
//!        cluster.json     the checked cluster: the map follows from it
//!        map.txt          that map as text; its SHA-256 is the layout hash
//!        acpi/tables.bin  the ACPI tables as loaded at `Topology::acpi().0`, RSDP first, pointers absolute
//!        acpi/SIG.aml     each table by itself, as the guest sees it
//!        kernel, initrd   what the guest boots (initrd may be absent)
//!        cmdline          its command line
//! ```
//!
//! The builder writes the files, then the manifest that [describes](Manifest::describe) them; the runtime
//! only ever [`Bundle::open`]s the directory. What the directory says is a claim until everything in it was checked.

mod bundle;
mod describe;
mod digest;
mod error;
mod format;
mod path;

pub use bundle::{Bundle, cluster_json};
pub use digest::{Digest, digest_file};
pub use error::BundleError;
pub use format::{Entry, Input, Manifest, Source, VERSION};

/// The files of a bundle, relative to its directory.
pub mod files {
    /// What went in and what came out.
    pub const MANIFEST: &str = "manifest.json";
    /// The checked cluster.
    pub const CLUSTER: &str = "cluster.json";
    /// The guest-physical map as text.
    pub const MAP: &str = "map.txt";
    /// The directory of ACPI tables.
    pub const ACPI_DIR: &str = "acpi";
    /// All ACPI tables as they lie in guest memory.
    pub const ACPI_TABLES: &str = "acpi/tables.bin";
    /// The guest's kernel.
    pub const KERNEL: &str = "kernel";
    /// The guest's initramfs, if it has one.
    pub const INITRD: &str = "initrd";
    /// The guest's command line.
    pub const CMDLINE: &str = "cmdline";
}
