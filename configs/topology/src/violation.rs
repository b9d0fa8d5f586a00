//! A field outside its limit, named by its path in the file (`nodes[2].memory`), so that whoever read
//! the file can point at it.

/// A field outside its limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value}: {limit}; {help}")]
pub struct Violation {
    /// Path of the field: `nodes[2].memory`.
    pub field: String,
    /// What it holds, in the file's units.
    pub value: String,
    /// The limit that it breaks.
    pub limit: String,
    /// What to do about it.
    pub help: String,
    /// Another field that has to do with it: where a name was used first.
    pub other: Option<String>,
}

/// What was found so far.
#[derive(Default)]
pub(crate) struct Found(Vec<Violation>);

impl Found {
    /// A field outside its limit.
    pub(crate) fn add(
        &mut self,
        field: impl Into<String>,
        value: impl Into<String>,
        limit: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (field, value) = (field.into(), value.into());
        let (limit, help) = (limit.into(), help.into());
        self.0.push(Violation { field, value, limit, help, other: None });
    }

    /// All that was added.
    pub(crate) fn into_violations(self) -> Vec<Violation> {
        self.0
    }

    /// The last one has to do with this field, too.
    pub(crate) fn other(&mut self, field: String) {
        if let Some(last) = self.0.last_mut() {
            last.other = Some(field);
        }
    }
}

/// In the quotes of our messages, with nothing in it that a terminal would obey.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}
