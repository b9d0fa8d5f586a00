//! Where each field stands in the text: byte ranges by the path that a violation names.

use crate::report::Problem;
use pangea_topology::Violation;
use serde_saphyr::{Location, Spanned};
use std::collections::BTreeMap;
use std::ops::Range;

/// Byte ranges of fields, by path (`nodes[2].memory`).
pub(crate) struct Spans<'t> {
    text: &'t str,
    fields: BTreeMap<String, Range<usize>>,
}

impl<'t> Spans<'t> {
    pub(crate) fn new(text: &'t str) -> Spans<'t> {
        Spans { text, fields: BTreeMap::new() }
    }

    /// Keeps a field's place.
    pub(crate) fn put<T>(&mut self, path: impl Into<String>, value: &Spanned<T>) {
        self.fields.insert(path.into(), self.of(value));
    }

    /// A value's place.
    pub(crate) fn of<T>(&self, value: &Spanned<T>) -> Range<usize> {
        range(self.text, value.referenced)
    }

    /// A field's place, or that of the nearest part that holds it: a key that was left out has none.
    pub(crate) fn get(&self, path: &str) -> Range<usize> {
        let mut path = path;
        loop {
            if let Some(range) = self.fields.get(path) {
                return range.clone();
            }
            match path.rfind(['.', '[']) {
                Some(at) => path = &path[..at],
                None => return self.fields.get("").cloned().unwrap_or(0..0),
            }
        }
    }

    /// A limit that was broken, with its place.
    pub(crate) fn point(&self, violation: Violation) -> Problem {
        let span = self.get(&violation.field);
        let problem = Problem::new(violation.limit, span, violation.value, violation.help);
        match violation.other {
            Some(other) => problem.also(self.get(&other), "used here first"),
            None => problem,
        }
    }
}

/// The bytes of a location. That of a list or of keys has no length: their first line stands for it.
/// Where only line and column are known, the one character there.
pub(crate) fn range(text: &str, location: Location) -> Range<usize> {
    let span = location.span();
    let offset = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok());
    let Some(start) = offset(span.byte_offset()).filter(|&s| text.is_char_boundary(s)) else {
        return character(text, location.line(), location.column());
    };
    let end = start + offset(span.byte_len()).unwrap_or(0);
    let marked = text.get(start..end).unwrap_or_default();
    if !matches!(marked, "" | "[" | "{") {
        return start..start + marked.trim_end().len().max(1);
    }
    let rest = text.get(start..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default();
    let line = line.split(" #").next().unwrap_or_default().trim_end();
    start..start + line.len()
}

/// The character at a line and column, both from 1; where the line ends if it is shorter.
fn character(text: &str, line: u64, column: u64) -> Range<usize> {
    let before = |n: u64| usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
    let mut lines = text.split_inclusive('\n');
    let start: usize = lines.by_ref().take(before(line)).map(str::len).sum();
    let line = lines.next().unwrap_or_default().trim_end();
    let at = line.char_indices().nth(before(column));
    at.map_or(start + line.len()..start + line.len(), |(i, c)| start + i..start + i + c.len_utf8())
}
