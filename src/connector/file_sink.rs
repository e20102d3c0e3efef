//! `file_sink`: a sink that writes every record as a line of a file.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use crate::dataflow::{Sink, SinkConnector, TaskContext};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Batch;
use crate::time::Nanos;

const BUFFER_BYTES: usize = 64 * 1_024;

/// A sink that writes every record with its `Display` and a newline.
///
/// With one partition `path` is the file, unless it is a folder; with several it is a folder, made
/// if it is not there, in which partition `p` writes `part-<p>`. Files that are there are
/// replaced. Lines of one partition keep their order.
///
/// # Errors
/// Opening fails with [`ErrorKind::CannotCreate`] where a file or the folder cannot be created, or
/// where the folder holds parts that this run would not replace (an earlier run had more
/// partitions, and the folder would end up with lines of both).
pub fn file_sink<T: Display + Send + 'static>(path: impl Into<PathBuf>) -> FileSink<T> {
    FileSink { path: path.into(), write_line: write_display }
}

/// Like [`file_sink`], with every record as a line of JSON.
#[cfg(feature = "json")]
pub fn json_file_sink<T>(path: impl Into<PathBuf>) -> FileSink<T>
where
    T: serde::Serialize + Send + 'static,
{
    FileSink { path: path.into(), write_line: write_json }
}

type WriteLine<T> = fn(&T, &mut BufWriter<File>) -> io::Result<()>;

fn write_display<T: Display>(record: &T, file: &mut BufWriter<File>) -> io::Result<()> {
    writeln!(file, "{record}")
}

#[cfg(feature = "json")]
fn write_json<T: serde::Serialize>(record: &T, file: &mut BufWriter<File>) -> io::Result<()> {
    serde_json::to_writer(&mut *file, record)?;
    file.write_all(b"\n")
}

/// Made by [`file_sink`].
#[derive(Debug)]
pub struct FileSink<T> {
    path: PathBuf,
    write_line: WriteLine<T>,
}

impl<T: Send + 'static> SinkConnector for FileSink<T> {
    type Item = T;
    type Sink = PartSink<T>;

    fn name(&self) -> String {
        format!("file {}", self.path.display())
    }

    fn target(&self) -> Option<String> {
        Some(resolved(&self.path).display().to_string())
    }

    fn open(&mut self, context: &TaskContext) -> Result<PartSink<T>> {
        let path = if context.partitions == 1 && !self.path.is_dir() {
            self.path.clone()
        } else {
            fs::create_dir_all(&self.path).map_err(|cause| cannot_create(&self.path, cause))?;
            refuse_other_parts(&self.path, context.partitions)?;
            self.path.join(format!("part-{}", context.partition))
        };
        let file = File::create(&path).map_err(|cause| cannot_create(&path, cause))?;
        Ok(PartSink {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            path,
            write_line: self.write_line,
            _records: PhantomData,
        })
    }
}

/// Fails if `folder` holds a part of a partition that this job does not have.
fn refuse_other_parts(folder: &Path, partitions: usize) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|cause| cannot_create(folder, cause))? {
        let name = entry.map_err(|cause| cannot_create(folder, cause))?.file_name();
        let part = name.to_str().and_then(|name| name.strip_prefix("part-"));
        let index: Option<usize> = part.and_then(|index| index.parse().ok());
        if index.is_some_and(|index| index >= partitions) {
            let text = format!(
                "folder {} holds {} of an earlier run; allowed: an empty folder or parts below \
                 part-{partitions}",
                folder.display(),
                name.display()
            );
            return Err(Error::new(ErrorKind::CannotCreate, text));
        }
    }
    Ok(())
}

/// `path` as the file system knows it, so that two spellings of one file are found out, whether
/// the file is there yet or not.
fn resolved(path: &Path) -> PathBuf {
    let of_folder = || {
        let absolute = std::path::absolute(path).ok()?;
        Some(absolute.parent()?.canonicalize().ok()?.join(absolute.file_name()?))
    };
    path.canonicalize().ok().or_else(of_folder).unwrap_or_else(|| path.to_owned())
}

fn cannot_create(path: &Path, cause: io::Error) -> Error {
    let text = format!("cannot create {}", path.display());
    Error::new(ErrorKind::CannotCreate, text).with_source(cause)
}

/// One partition's end of a [`FileSink`].
#[derive(Debug)]
pub struct PartSink<T> {
    file: BufWriter<File>,
    path: PathBuf,
    write_line: WriteLine<T>,
    _records: PhantomData<fn(T)>,
}

impl<T> PartSink<T> {
    fn failed(&self, cause: io::Error) -> Error {
        let text = format!("cannot write to {}", self.path.display());
        Error::new(ErrorKind::Io, text).with_source(cause)
    }
}

impl<T: Send + 'static> Sink for PartSink<T> {
    type Item = T;

    fn write(&mut self, batch: &mut Batch<T>, _now: Nanos) -> Result<()> {
        for record in &batch.records {
            (self.write_line)(record, &mut self.file).map_err(|cause| self.failed(cause))?;
        }
        batch.records.clear();
        Ok(())
    }

    fn finish(&mut self, _now: Nanos) -> Result<bool> {
        self.file.flush().map_err(|cause| self.failed(cause))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::test_context;

    fn run(connector: &mut FileSink<u32>, partitions: usize) -> Result<()> {
        for partition in 0..partitions {
            let mut sink = connector.open(&test_context(partition, partitions))?;
            let mut batch = Batch::new();
            batch.records.extend([partition as u32, 7]);
            sink.write(&mut batch, 0)?;
            assert!(batch.is_empty());
            assert!(sink.finish(0)?);
        }
        Ok(())
    }

    #[test]
    fn one_partition_writes_the_path_itself_and_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        fs::write(&path, "old lines, many of them").unwrap();
        run(&mut file_sink(&path), 1).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "0\n7\n");
    }

    #[test]
    fn several_partitions_write_parts_of_a_new_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/out");
        run(&mut file_sink(&path), 2).unwrap();
        assert_eq!(fs::read_to_string(path.join("part-0")).unwrap(), "0\n7\n");
        assert_eq!(fs::read_to_string(path.join("part-1")).unwrap(), "1\n7\n");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 2);
    }

    #[test]
    fn parts_of_a_wider_run_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        run(&mut file_sink(folder.path()), 3).unwrap();
        let error = run(&mut file_sink(folder.path()), 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
        assert!(error.context().contains("part-2"), "{error}");
    }

    #[test]
    fn what_cannot_be_created_says_so_with_exit_code_73() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for partitions in [1, 2] {
            let error = run(&mut file_sink(file.join("below")), partitions).unwrap_err();
            assert_eq!(error.kind().exit_code(), 73);
            assert!(error.context().contains("below"), "{error}");
        }
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_lines_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let mut sink = json_file_sink(&path).open(&test_context(0, 1)).unwrap();
        let mut batch = Batch::new();
        batch.push(("a\n", Some(1)));
        batch.push(("b", None));
        sink.write(&mut batch, 0).unwrap();
        sink.finish(0).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[\"a\\n\",1]\n[\"b\",null]\n");
    }
}
