//! What is being done, for as long as it takes: one changing line on a terminal, lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the line moves.
const TICK: Duration = Duration::from_millis(100);

/// Shows steps until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    last: String,
}

impl Progress {
    /// Nothing is shown before the first step.
    pub(crate) fn new() -> Self {
        Self { bar: None, last: String::new() }
    }

    /// A step begins, or goes on.
    pub(crate) fn step(&mut self, step: &str) {
        if !std::io::stderr().is_terminal() {
            // A step that goes on says so with the seconds at its end: once is enough in a file.
            let step = step
                .rsplit_once(", ")
                .filter(|(_, rest)| rest.ends_with(" s"))
                .map_or(step, |(step, _)| step);
            if step != self.last {
                eprintln!("- {step}");
                step.clone_into(&mut self.last);
            }
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(TICK);
            style.map_or(bar.clone(), |style| bar.with_style(style))
        });
        bar.set_message(step.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
