//! Running the few programs that the build needs, with an error that can be acted upon.

use crate::{ImageError, Progress, Result};
use std::io::Read;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How often the watcher of a long command is told that it still runs.
const REPEAT: Duration = Duration::from_secs(1);
/// At most this many of a program's last lines go into an error.
const ERROR_LINES: usize = 20;

/// Runs a command to its end; its failure is an error with its command line and what it said.
/// `doing` is a phrase ("unpack a package"); `detail` tells what is new, for the progress line.
pub(crate) fn run(
    command: &mut Command,
    doing: &str,
    help: &'static str,
    progress: Progress<'_>,
    mut detail: impl FnMut() -> String,
) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let no_program = |source| ImageError::NoProgram {
        program: program.clone(),
        doing: doing.to_owned(),
        help,
        source,
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(no_program)?;
    // Both pipes are emptied while the program runs, or it would block on a full one.
    let stdout = child.stdout.take().map(drain);
    let stderr = child.stderr.take().map(drain);
    let start = Instant::now();
    let mut told = start;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(no_program)? {
            break status;
        }
        if told.elapsed() >= REPEAT {
            told = Instant::now();
            progress(&format!("{doing}{}, {} s", detail(), start.elapsed().as_secs()));
        }
        std::thread::sleep(POLL);
    };
    let collect = |pipe: Option<std::thread::JoinHandle<Vec<u8>>>| {
        pipe.and_then(|thread| thread.join().ok()).unwrap_or_default()
    };
    let output = Output { status, stdout: collect(stdout), stderr: collect(stderr) };
    if output.status.success() {
        return Ok(output);
    }
    Err(ImageError::Command {
        doing: doing.to_owned(),
        command: line(command),
        status: output.status.to_string(),
        stderr: last_lines(&output.stderr),
        help,
    })
}

/// The end of what a program wrote, indented to stand below an error.
pub(crate) fn last_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(ERROR_LINES);
    lines[from..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn drain(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is still worth showing.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_failing_command_shows_itself_and_what_it_said() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo no such suite >&2; exit 100"]);
        let error = run(&mut shell, "resolve", "try again", &mut |_| {}, String::new).unwrap_err();
        expect_test::expect![[r#"
            resolve: `sh -c echo no such suite >&2; exit 100` ended with exit status: 100
              no such suite
            help: try again"#]]
        .assert_eq(&error.to_string());
    }

    #[test]
    fn a_missing_program_is_named() {
        let mut none = Command::new("pangea-no-such-program");
        let error = run(&mut none, "a test", "install it", &mut |_| {}, String::new).unwrap_err();
        expect_test::expect![
            "`pangea-no-such-program` can't be started, and a test needs it; install it"
        ]
        .assert_eq(&error.to_string());
    }
}
