//! The one printer of errors: `error:`, its causes, and `help:` with what to do next.

use std::process::ExitCode;

use pangea_boot::lab::LabError;

/// The exit code of a command that was interrupted, as shells count it.
pub(crate) const INTERRUPTED: u8 = 130;

/// An error of the user's machine or input, with what to do about it.
#[derive(Debug)]
struct Advice {
    problem: String,
    help: String,
}

/// An error: `problem` is printed after `error:`, `help` after `help:`.
pub(crate) fn advice(problem: impl Into<String>, help: impl Into<String>) -> anyhow::Error {
    Advice { problem: problem.into(), help: help.into() }.into()
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Advice {}

/// Prints an error to standard error; the exit code of a command that failed.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("cause: {cause}");
    }
    for help in error.chain().filter_map(help) {
        eprintln!("help: {help}");
    }
    let stopped = |cause: &(dyn std::error::Error + 'static)| {
        let lab = cause.downcast_ref::<LabError>();
        matches!(lab, Some(LabError::Stopped { .. } | LabError::StoppedEarly))
    };
    ExitCode::from(if error.chain().any(stopped) { INTERRUPTED } else { 1 })
}

fn help(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(advice) = cause.downcast_ref::<Advice>() {
        return Some(advice.help.clone());
    }
    cause.downcast_ref::<LabError>()?.help()
}
