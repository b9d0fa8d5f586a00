//! `cargo xtask lab -- PROGRAM ARGS`: one program on a machine with SVM, wherever one is.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use pangea_boot::cluster::quoted;
use pangea_boot::lab::{ConsoleIo, Lab, LabOptions};

use crate::interrupt;
use crate::report::advice;
use crate::setup::{self, Consent, Need};

/// Runs a program in the lab: a QEMU machine where `/dev/kvm` has hardware virtualization
///
/// The program and its shared libraries are copied in; it runs as root, alone, with the
/// distribution's kernel. Its standard output and error come out here, what it leaves in /out is
/// copied to --out, and its exit code is this command's.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Another file or directory that the program needs: PATH, or PATH=PATH_IN_THE_LAB
    #[arg(long = "with", value_name = "PATH[=PATH]")]
    with: Vec<String>,
    /// Where files that the program leaves in /out go
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The lab's memory
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    memory: u32,
    /// The lab's CPUs, which take turns on one core
    #[arg(long, default_value_t = 1)]
    cpus: u32,
    /// After which the run is ended
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// Say how long the lab took, and show its kernel's messages about KVM
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    consent: Consent,
    /// The program, and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let [program, arguments @ ..] = args.program.as_slice() else {
        return Err(advice("no program was given", "cargo xtask lab -- PROGRAM ARGS"));
    };
    let program = Path::new(program);
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    if !program.is_file() {
        let help = "name a file: the lab has busybox's programs, and those that are copied in";
        return Err(advice(format!("{} isn't a file", program.display()), help));
    }
    setup::provide(&[Need::Qemu], args.consent)?;
    let inside = format!("/lab/{name}");
    let verbose = args.verbose;
    let mut lab = Lab::new(LabOptions {
        memory_mib: args.memory,
        cpus: args.cpus,
        timeout: Duration::from_secs(args.timeout),
        ..LabOptions::default()
    })
    .program(program, &inside)?
    .stop_on(interrupt::flag()?)
    .on_progress(move |step| {
        if verbose {
            eprintln!("lab: {step}");
        }
    })
    .on_log(move |line| {
        if verbose || tells(line) {
            eprintln!("{line}");
        }
    });
    for with in &args.with {
        let (from, to) = with.split_once('=').unwrap_or((with, with));
        let from = Path::new(from);
        lab = if from.is_dir() { lab.directory(from, to)? } else { lab.file(from, to, 0o755) };
    }

    let words = std::iter::once(inside.as_str()).chain(arguments.iter().map(String::as_str));
    let script = format!("exec {}\n", words.map(quoted).collect::<Vec<_>>().join(" "));
    let console =
        ConsoleIo { input: Some(Box::new(io::stdin())), output: Some(Box::new(io::stdout())) };
    let outcome = lab.run(&script, console)?;
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out)?;
        for (name, content) in &outcome.files {
            std::fs::write(out.join(name), content)?;
        }
    }
    if verbose {
        eprintln!(
            "lab: up after {:.1} s, {:.1} s in all",
            outcome.up.as_secs_f64(),
            outcome.total.as_secs_f64()
        );
    }
    Ok(ExitCode::from(u8::try_from(outcome.exit_code).unwrap_or(1)))
}

/// Is a line of the lab's log more than what its kernel says each time?
pub(crate) fn tells(line: &str) -> bool {
    !line.starts_with("lab: ") && !line.ends_with("reboot: Power down")
}
