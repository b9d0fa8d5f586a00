//! The lab: a QEMU machine with emulated AMD SVM in which real `kvm_amd` runs, so that everything
//! that needs KVM and a stock guest is tested on machines without VT-x or SVM.
//!
//! ```text
//! this machine                            lab host (QEMU TCG, the distribution's own kernel)
//!   Lab::run ── kernel, initramfs ──────>   init.sh: kvm_amd, lo, the caller's script
//!      log      <──────────── ttyS0 ────    kernel messages, standard error
//!      console  <───────────> ttyS1 ───>    standard input and output
//!      report   <───────────> ttyS2 ────    ready, files of /out, exit code   (stop, run go in)
//! ```
//!
//! All of it is an initramfs: no disk, no network, no root, nothing left behind. Every run has a
//! limit, and QEMU never outlives it.

mod defect;
mod error;
mod qemu;
mod report;
mod serial;
mod session;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use pangea_images::Packages;
use pangea_images::lab::LabSpec;

pub use defect::doubled_interrupt;
pub use error::LabError;
pub use qemu::{KERNEL_ARGS, PROGRAM};
pub use report::{FILE_MAX, LINE_MAX, Ready, ReportError, TOTAL_MAX};
pub use session::{LineSink, STOP_GRACE};

/// `/init` of the lab host.
const INIT: &str = include_str!("lab/init.sh");

/// What the lab host is given, and how long.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Its memory, in MiB.
    pub memory_mib: u32,
    /// Its CPUs, which take turns on one thread of this machine: more make nothing faster.
    pub cpus: u32,
    /// How long it may take to come up.
    pub boot_timeout: Duration,
    /// How long the whole run may take.
    pub timeout: Duration,
    /// Further arguments for its kernel.
    pub kernel_args_extra: Vec<String>,
    /// Where packages are cached.
    pub cache: PathBuf,
}

impl Default for LabOptions {
    /// What two nodes of a gigabyte each need. It is up in 5 s on a quiet machine.
    fn default() -> Self {
        Self {
            memory_mib: 4096,
            // The emulator's defect (`defect.rs`) strikes where emulated CPUs change places.
            cpus: 1,
            boot_timeout: Duration::from_secs(180),
            timeout: Duration::from_secs(900),
            kernel_args_extra: Vec::new(),
            cache: Packages::default_cache(),
        }
    }
}

/// Where the console of a run goes to and comes from, besides being kept.
#[derive(Default)]
pub struct ConsoleIo {
    /// Read once the lab host is up, on a thread that is never waited for.
    pub input: Option<Box<dyn Read + Send>>,
    /// Written to as bytes come.
    pub output: Option<Box<dyn Write + Send>>,
}

impl fmt::Debug for ConsoleIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (input, output) = (self.input.is_some(), self.output.is_some());
        f.debug_struct("ConsoleIo").field("input", &input).field("output", &output).finish()
    }
}

/// What a run left.
#[derive(Debug)]
pub struct LabOutcome {
    /// The script's exit code.
    pub exit_code: i32,
    /// The first serial port: kernel messages and standard error.
    pub log: String,
    /// The script's standard output.
    pub console: Vec<u8>,
    /// What the lab host said when it came up.
    pub host: Option<Ready>,
    /// From QEMU's start until the lab host was up.
    pub up: Duration,
    /// The whole run.
    pub total: Duration,
    /// What the script left in `/out`, by file name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// A lab run being put together.
pub struct Lab {
    options: LabOptions,
    files: Vec<(PathBuf, String, u32)>,
    lines: Option<LineSink>,
    progress: Box<dyn FnMut(&str)>,
    stop: Arc<AtomicBool>,
    commands: (Sender<String>, Receiver<String>),
}

/// Runs commands in a lab host while its script runs; may be sent to other threads.
#[derive(Debug, Clone)]
pub struct LabControl(Sender<String>);

impl LabControl {
    /// Runs a line of shell, beside the script and as root. Its output goes to the log. Before the
    /// lab host is up it waits; after its end nothing happens.
    pub fn run(&self, line: &str) {
        // The run may be over, and a line that nobody takes is no error then.
        let _ = self.0.send(line.replace('\n', "; "));
    }
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, files, .. } = self;
        f.debug_struct("Lab")
            .field("options", options)
            .field("files", files)
            .finish_non_exhaustive()
    }
}

impl Lab {
    /// A lab without any files but its own.
    pub fn new(options: LabOptions) -> Self {
        Self {
            options,
            files: Vec::new(),
            lines: None,
            progress: Box::new(|_| {}),
            stop: Arc::default(),
            commands: channel(),
        }
    }

    /// Puts a file of this machine into the lab host, with these permission bits.
    #[must_use]
    pub fn file(mut self, host: impl Into<PathBuf>, guest: &str, mode: u32) -> Self {
        self.files.push((host.into(), guest.to_owned(), mode));
        self
    }

    /// Puts a program and the shared libraries that it needs into the lab host.
    pub fn program(mut self, host: &Path, guest: &str) -> Result<Self, LabError> {
        let libraries = pangea_images::libs::closure(host).map_err(LabError::build)?;
        for (library, path) in libraries {
            let path = path.display().to_string();
            // Several programs need the same libraries.
            if !self.files.iter().any(|(_, guest, _)| *guest == path) {
                self.files.push((library, path, 0o755));
            }
        }
        Ok(self.file(host, guest, 0o755))
    }

    /// Puts the files of a directory, and of those below it, into the lab host.
    pub fn directory(mut self, host: &Path, guest: &str) -> Result<Self, LabError> {
        let entries = std::fs::read_dir(host).map_err(LabError::io("list a directory"))?;
        for entry in entries {
            let entry = entry.map_err(LabError::io("list a directory"))?;
            let path = format!("{guest}/{}", entry.file_name().to_string_lossy());
            self = if entry.path().is_dir() {
                self.directory(&entry.path(), &path)?
            } else {
                self.file(entry.path(), &path, 0o644)
            };
        }
        Ok(self)
    }

    /// Tells each line of the log as it comes.
    #[must_use]
    pub fn on_log(mut self, lines: impl FnMut(&str) + Send + 'static) -> Self {
        self.lines = Some(Box::new(lines));
        self
    }

    /// Tells what is being done before the lab host starts.
    #[must_use]
    pub fn on_progress(mut self, progress: impl FnMut(&str) + 'static) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Once `stop` is true, the script gets SIGTERM, and after [`STOP_GRACE`] the lab ends.
    #[must_use]
    pub fn stop_on(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = stop;
        self
    }

    /// Something by which commands can be run while the script runs.
    pub fn control(&self) -> LabControl {
        LabControl(self.commands.0.clone())
    }

    /// Runs a shell script as root in the lab host, and waits for its end.
    ///
    /// `/dev/kvm` is there and `lo` is up. Files that the script leaves in `/out` come back.
    pub fn run(mut self, script: &str, console: ConsoleIo) -> Result<LabOutcome, LabError> {
        let directory = tempfile::Builder::new()
            .prefix("pangea-lab-")
            .tempdir()
            .map_err(LabError::io("make a temporary directory"))?;
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("script"), script).map_err(LabError::io("write the lab's script"))?;
        self.files.push((path("script"), "lab/script".to_owned(), 0o755));

        let mut packages = Packages::open(&self.options.cache).map_err(LabError::build)?;
        let spec = LabSpec { files: self.files, init: INIT.to_owned() };
        let initrd = path("initramfs");
        let image = pangea_images::lab::build(&mut packages, &spec, &initrd, &mut *self.progress)
            .map_err(LabError::build)?;

        let listeners = serial::Listeners::bind(directory.path())?;
        (self.progress)("start the lab host");
        let qemu = qemu::Qemu::start(
            &qemu::Machine {
                kernel: &image.kernel,
                initramfs: &image.initrd,
                memory_mib: self.options.memory_mib,
                cpus: self.options.cpus,
                kernel_args_extra: &self.options.kernel_args_extra,
                serial: listeners.paths(),
            },
            &path("qemu-errors"),
        )?;
        let limits =
            session::Limits { boot: self.options.boot_timeout, total: self.options.timeout };
        let (stop, commands) = (&self.stop, self.commands.1);
        session::Session::new(qemu, listeners, limits, stop, commands, console, self.lines).run()
    }
}
