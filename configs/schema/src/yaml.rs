//! From text to the raw shape, and the YAML reader's errors in the words of our users.

use crate::VERSION;
use crate::nearest::{list, nearest};
use crate::raw::{RawCluster, RawVersion};
use crate::report::Problem;
use crate::spans::range;
use serde::de::DeserializeOwned;
use serde_saphyr::{Error, MessageFormatter, Options, Spanned, UserMessageFormatter};

/// Where the format is described.
const SEE: &str = "the format is described in configs/clusters/README.md";

/// Reads the text. Only its first problem is known: what follows may be its consequence.
pub(crate) fn read(text: &str) -> Result<Spanned<RawCluster>, Problem> {
    if text.trim().is_empty() {
        return Err(Problem::new("the file is empty", 0..0, "no cluster here", SEE));
    }
    // A file that can't be read at all is reported by the second reading.
    if let Ok(RawVersion { version: Some(version) }) = from_str::<RawVersion>(text)
        && version.value != VERSION.to_string()
    {
        let title = format!("this program reads version {VERSION} of cluster files");
        let label = format!("version {}", version.value);
        let help = format!("write `version: {VERSION}`, or use the release that wrote this file");
        return Err(Problem::new(title, range(text, version.referenced), label, help));
    }
    from_str(text).map_err(|error| explain(text, &error))
}

fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let options: Options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
}

/// What the reader met, where, and what to do about it.
fn explain(text: &str, error: &Error) -> Problem {
    let error = error.without_snippet();
    let span = error.location().map_or(0..0, |location| range(text, location));
    let (title, label, help) = match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let help = match nearest(field, expected) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the keys here are {}", list(expected)),
            };
            (format!("unknown key `{field}`"), "not a key of this part", help)
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("this");
            (format!("the key `{key}` is there twice"), "again here", "remove one of them".into())
        }
        Error::Unexpected { expected, .. } => match *expected {
            "string scalar" => {
                ("a single value belongs here".into(), "not a single value", SEE.into())
            }
            "sequence start" => {
                let help = "write one item a line, each after `- `";
                ("a list belongs here".into(), "not a list", help.into())
            }
            "mapping start" => {
                let help = "write one `key: value` a line";
                ("keys with values belong here".into(), "not keys with values", help.into())
            }
            other => (format!("expected {other}"), "not here", SEE.into()),
        },
        Error::MultipleDocuments { .. } => {
            let help = "write one file for each cluster";
            ("a file holds one cluster".into(), "a second one", help.into())
        }
        other => {
            let title = format!("not YAML: {}", UserMessageFormatter.format_message(other));
            (title, "here", "look at quotes, brackets and indentation at this place".into())
        }
    };
    Problem::new(title, span, label, help)
}
