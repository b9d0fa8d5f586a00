//! What is wrong with a file, shown as rustc shows it: place, value, limit, help.

use crate::MAX_FILE;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// Problems that are shown of one file; the rest is counted.
const MAX_SHOWN: usize = 10;
/// Characters of one message.
const MAX_TEXT: usize = 200;

/// Why a file isn't a cluster. As text it begins without `error:`, which is the printer's.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The system couldn't read the file.
    #[error("can't read {}: {cause}; name a cluster file, like configs/clusters/duo.yaml", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// More than any cluster needs.
    #[error("{} has {size} bytes, a cluster file has at most {MAX_FILE}; is this the right file?", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// Not text.
    #[error("{} isn't UTF-8 at byte {offset}; save it as UTF-8", path.display())]
    NotUtf8 {
        /// Which.
        path: PathBuf,
        /// Offset of the first odd byte.
        offset: usize,
    },
    /// It was read, and something in it is wrong.
    #[error("{0}")]
    Refused(Report),
}

/// The problems of a file with the text they are in.
#[derive(Clone, Debug)]
pub struct Report {
    name: String,
    text: String,
    problems: Vec<Problem>,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    title: String,
    span: Range<usize>,
    label: String,
    other: Option<(Range<usize>, &'static str)>,
    help: String,
}

impl Problem {
    pub(crate) fn new(
        title: impl Into<String>,
        span: Range<usize>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        let [title, label, help] = [title.into(), label.into(), help.into()].map(clean);
        Problem { title, span, label, other: None, help }
    }

    /// Another place that has to do with it.
    pub(crate) fn also(mut self, span: Range<usize>, label: &'static str) -> Problem {
        self.other = Some((span, label));
        self
    }
}

/// The text on one line, at a length that a terminal shows: parts of it come from the file.
fn clean(text: String) -> String {
    let odd = |c: char| c.is_control();
    if text.len() <= MAX_TEXT && !text.contains(odd) {
        return text;
    }
    let mut out = String::new();
    for c in text.chars().take(MAX_TEXT) {
        if odd(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    if text.chars().count() > MAX_TEXT { out + "..." } else { out }
}

impl Report {
    /// The problems, in the order of the text.
    pub(crate) fn new(name: &str, text: &str, mut problems: Vec<Problem>) -> Report {
        problems.sort_by_key(|p| p.span.start);
        Report { name: name.to_owned(), text: text.to_owned(), problems }
    }

    /// One problem as text, with or without `error:` before it.
    fn show(&self, problem: &Problem, level: Level<'_>) -> String {
        let limit = self.text.len();
        let within = |r: &Range<usize>| r.start.min(limit)..r.end.clamp(r.start.min(limit), limit);
        let primary = AnnotationKind::Primary.span(within(&problem.span)).label(&problem.label);
        let mut source = Snippet::source(&self.text).path(&self.name).annotation(primary);
        if let Some((span, label)) = &problem.other {
            source = source.annotation(AnnotationKind::Context.span(within(span)).label(*label));
        }
        let title = level.primary_title(&problem.title).element(source);
        let help = Level::HELP.message(&problem.help);
        Renderer::plain().render(&[title.element(help)])
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().take(MAX_SHOWN).enumerate() {
            if i == 0 {
                f.write_str(&self.show(problem, Level::ERROR.no_name()))?;
            } else {
                write!(f, "\n\n{}", self.show(problem, Level::ERROR))?;
            }
        }
        match self.problems.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n\n{more} more like these"),
        }
    }
}
