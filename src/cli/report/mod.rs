//! `bench --report`: a page with plots of a run, in one file that asks no host for anything.
//!
//! A [`Recorder`] looks at the job while it runs; what it saw is one JSON object in the page, next
//! to the report that `--format json` prints. `page.js` draws it with the library in `echarts`. A
//! new plot is a field of [`Recording`] and a function there.

mod curves;
mod file;
mod keys;
mod marks;
mod page;
mod recorder;
mod thinned;
mod timeline;

pub(crate) use file::PageFile;
pub(crate) use page::{Shown, can_draw, page};
pub(crate) use recorder::{Recorder, Recording};

use crate::cli::flag::{Flag, Scope, path};

/// Its flag.
pub(crate) static FLAGS: [Flag; 1] = [Flag {
    name: "report",
    short: None,
    value: Some(("FILE", "a path")),
    default: "none",
    help: "write a page with plots of the run to FILE, as HTML",
    scope: Scope::Bench,
    set: |options, value| {
        options.run.report = Some(path(value)?);
        Ok(())
    },
}];
