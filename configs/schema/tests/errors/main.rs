//! What is wrong with a file, as its author sees it. One row a mistake; after an intended change run
//! `UPDATE_EXPECT=1 cargo test -p pangea-schema --test errors` and read the diff.
#![allow(clippy::unwrap_used)]

mod limits;
mod links;
mod shape;
mod values;

use expect_test::Expect;

/// The text is refused with exactly this.
fn refused(text: &str, expected: Expect) {
    let error = pangea_schema::parse(text, "cluster.yaml").unwrap_err();
    expected.assert_eq(&format!("error: {error}\n"));
}
