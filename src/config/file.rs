//! A configuration file: TOML, a key per knob, every problem with its line and column.

use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::config::knob::{Form, Knob};
use crate::config::layer::{Layer, Origin};
use crate::config::wording::{closest, shown};
use crate::error::{Error, ErrorKind, Result};

/// Most bytes of a configuration file; a longer one is some other file.
const SIZE_MAX: u64 = 1 << 20;

const BOM: &str = "\u{feff}";

impl Layer {
    /// Reads a TOML file whose keys are those of [`Knob::all`].
    ///
    /// Only a regular file is read, so that a FIFO or a device cannot hold up the start.
    pub fn from_file(path: &Path) -> Layer {
        let mut layer = Layer::default();
        let place = shown(&path.to_string_lossy());
        match read(path, &place) {
            Ok(text) => Document { place, text }.read_into(&mut layer),
            Err(error) => layer.problems.push(error),
        }
        layer
    }
}

/// The text of a configuration file, and its path for errors.
struct Document {
    place: String,
    text: String,
}

impl Document {
    fn read_into(&self, layer: &mut Layer) {
        let text = self.text.strip_prefix(BOM).unwrap_or(&self.text);
        let (table, errors) = DeTable::parse_recoverable(text);
        // What follows a syntax error is guesswork of the parser, so only the first is told.
        let start = |error: &&toml::de::Error| error.span().map_or(0, |span| span.start);
        if let Some(error) = errors.iter().min_by_key(start) {
            layer.problems.push(self.syntax_error(text, error));
            return;
        }
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let origin = self.origin(text, &value.span(), key.get_ref());
            match Knob::named(key.get_ref()) {
                Some(knob) => set(
                    layer,
                    knob,
                    value.get_ref(),
                    origin,
                    text.get(value.span()).unwrap_or_default(),
                ),
                None => {
                    let place = self.position(text, key.span().start);
                    layer.problems.push(unknown_key(&place, key.get_ref()));
                }
            }
        }
    }

    fn syntax_error(&self, text: &str, error: &toml::de::Error) -> Error {
        let span = error.span().unwrap_or(0..0);
        let place = self.position(text, span.start);
        let seen = text.get(span.clone()).filter(|seen| !seen.is_empty());
        let seen = seen.unwrap_or_else(|| line_at(text, span.start));
        let what = error.message().replace('\n', ", ");
        let line =
            format!("{what} at {place}{}: {}; allowed TOML", key_path(text, &span), shown(seen));
        Error::new(ErrorKind::InvalidConfig, line)
    }

    fn origin(&self, text: &str, span: &Range<usize>, key: &str) -> Origin {
        let (line, column) = line_and_column(text, span.start);
        Origin::File { path: self.place.clone(), line, column, key: shown(key) }
    }

    fn position(&self, text: &str, offset: usize) -> String {
        let (line, column) = line_and_column(text, offset);
        format!("{}:{line}:{column}", self.place)
    }
}

fn set(layer: &mut Layer, knob: &'static Knob, value: &DeValue<'_>, origin: Origin, raw: &str) {
    let text = match (value, knob.form()) {
        (DeValue::String(text), Form::Text | Form::IntegerOrText) => Some(text.to_string()),
        (DeValue::Integer(integer), Form::Integer | Form::IntegerOrText) => {
            let decimal = i128::from_str_radix(integer.as_str(), integer.radix());
            Some(decimal.map_or_else(|_| raw.to_owned(), |number| number.to_string()))
        }
        _ => None,
    };
    match text {
        Some(text) => layer.set(knob, text, origin),
        None => {
            let form = match knob.form() {
                Form::Text => "a string",
                Form::Integer => "an integer",
                Form::IntegerOrText => "an integer or a string",
            };
            let line = format!(
                "wrong type at {origin}: {}; allowed {form}: {}",
                shown(raw),
                knob.allowed()
            );
            layer.problems.push(Error::new(ErrorKind::InvalidConfig, line));
        }
    }
}

fn unknown_key(place: &str, key: &str) -> Error {
    let keys = Knob::all().iter().map(Knob::key);
    let hint = match closest(key, keys) {
        Some(meant) => format!("did you mean {meant}"),
        None => {
            let keys: Vec<_> = Knob::all().iter().map(Knob::key).collect();
            format!("allowed {}", keys.join(", "))
        }
    };
    let line = format!("unknown key at {place}: {}; {hint}", shown(key));
    Error::new(ErrorKind::InvalidConfig, line)
}

#[allow(clippy::disallowed_methods)] // The one file that a configuration may be read from.
fn read(path: &Path, place: &str) -> Result<String> {
    let refused = |error: io::Error| unreadable(&error, place);
    let metadata = std::fs::metadata(path).map_err(refused)?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "a directory" } else { "no regular file" };
        let line = format!("wrong kind of file at {place}: {what}; allowed a TOML file");
        return Err(Error::new(ErrorKind::NoInput, line));
    }
    let file = std::fs::File::open(path).map_err(refused)?;
    let mut content = Vec::new();
    file.take(SIZE_MAX + 1).read_to_end(&mut content).map_err(refused)?;
    // The length in the metadata can be a lie, as in /proc, so the bytes decide.
    if content.len() as u64 > SIZE_MAX {
        let size = metadata.len().max(SIZE_MAX + 1);
        let line = format!("file too long at {place}: {size} bytes; allowed {SIZE_MAX} bytes");
        return Err(Error::new(ErrorKind::BadData, line));
    }
    text_of(content, place)
}

fn text_of(content: Vec<u8>, place: &str) -> Result<String> {
    let text = String::from_utf8(content).map_err(|error| {
        not_text("not UTF-8", place, error.as_bytes(), error.utf8_error().valid_up_to())
    })?;
    match text.find('\0') {
        Some(offset) => Err(not_text("binary file", place, text.as_bytes(), offset)),
        None => Ok(text),
    }
}

fn not_text(what: &str, place: &str, content: &[u8], offset: usize) -> Error {
    let byte = content.get(offset).copied().unwrap_or_default();
    let line = format!("{what} at {place}: byte {offset} is 0x{byte:02x}; allowed UTF-8 text");
    Error::new(ErrorKind::BadData, line)
}

fn unreadable(error: &io::Error, place: &str) -> Error {
    let (kind, what) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            (ErrorKind::NoInput, "no such file")
        }
        io::ErrorKind::PermissionDenied => (ErrorKind::Permission, "file not readable"),
        _ => (ErrorKind::Io, "file not readable"),
    };
    let line = format!("{what} at {place}: {error}; allowed a TOML file");
    Error::new(kind, line)
}

/// The key that the statement around `span` sets, in parentheses; empty where there is none.
fn key_path(text: &str, span: &Range<usize>) -> String {
    let line = line_at(text, span.start);
    match line.split_once('=') {
        Some((key, _)) if !key.trim().is_empty() => format!(" ({})", shown(key.trim())),
        _ => String::new(),
    }
}

fn line_at(text: &str, offset: usize) -> &str {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    text[start..].lines().next().unwrap_or_default()
}

/// Counted from 1, columns in characters.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{BatchSize, Config, CoreList, Cores, Idle};

    fn resolve(text: &str) -> Result<Config> {
        let mut layer = Layer::default();
        let document = Document { place: "a.toml".to_owned(), text: text.to_owned() };
        document.read_into(&mut layer);
        Config::resolve([layer], None)
    }

    fn refusal(text: &str) -> String {
        let error = resolve(text).expect_err(text);
        assert_eq!(error.kind().exit_code(), 78, "{error}");
        error.to_string()
    }

    #[test]
    fn every_form_of_value_is_read() {
        let config = resolve(
            "# comment\ncores = \"0-1,4\"\npartitions = 0x10\nidle = 'spin'\nbatch-size = 512\n\
             linger = 0\nmemory-limit = \"64MiB\"\nlane-capacity = 1_024\n",
        )
        .expect("valid file");
        let cores: CoreList = [0, 1, 4].into_iter().collect();
        assert_eq!(config.cores(), &Cores::List(cores));
        assert_eq!(config.partitions(), Some(16));
        assert_eq!(config.idle(), Idle::Spin);
        assert_eq!(config.batch_size(), BatchSize::Records(512));
        assert!(config.linger().is_zero());
        assert_eq!(config.memory_limit_bytes(), Some(64 << 20));
        assert_eq!(config.lane_capacity(), 1_024);
    }

    #[test]
    fn byte_order_mark_is_accepted() {
        let config = resolve("\u{feff}partitions = 2\n").expect("valid file");
        assert_eq!(config.partitions(), Some(2));
        assert!(refusal("\u{feff}partitions = 0\n").contains("a.toml:1:14 (partitions)"));
    }

    #[test]
    fn unknown_key_has_a_suggestion() {
        assert_eq!(
            refusal("\npartitons = 2\n"),
            "unknown key at a.toml:2:1: partitons; did you mean partitions"
        );
        assert_eq!(
            refusal("batch_size = 2\n"),
            "unknown key at a.toml:1:1: batch_size; did you mean batch-size"
        );
        let line = refusal("[engine]\npartitions = 2\n");
        assert!(line.starts_with("unknown key at a.toml:1:2: engine; allowed cores, "), "{line}");
    }

    #[test]
    fn wrong_type_names_line_column_and_key() {
        assert_eq!(
            refusal("idle = \"park\"\npartitions = \"four\"\n"),
            "wrong type at a.toml:2:14 (partitions): \"four\"; allowed an integer: 1..=1024"
        );
        assert_eq!(
            refusal("metrics = true"),
            "wrong type at a.toml:1:11 (metrics): true; allowed a string: on|off"
        );
        assert!(refusal("linger = 1.5").starts_with("wrong type at a.toml:1:10 (linger): 1.5;"));
        assert!(refusal("pin = [\"on\"]").starts_with("wrong type at a.toml:1:7 (pin): [\"on\"];"));
    }

    #[test]
    fn value_out_of_bounds_names_line_column_and_key() {
        assert_eq!(
            refusal("partitions = 0\n"),
            "out of range at a.toml:1:14 (partitions): 0; allowed 1..=1024"
        );
        let line = refusal("partitions = 99999999999999999999999999999999999999999999\n");
        assert!(line.starts_with("out of range at a.toml:1:14 (partitions): 9999"), "{line}");
        assert!(refusal("linger = 5").contains("number without a unit at a.toml:1:10 (linger): 5"));
    }

    #[test]
    fn syntax_error_names_line_column_and_key() {
        let line = refusal("idle = \"park\"\npartitions = = 2\n");
        assert!(line.contains(" at a.toml:2:14 (partitions): "), "{line}");
        let line = refusal("pin = \"on\nidle = \"park\"\n[x\n");
        assert!(line.contains(" at a.toml:1:10 (pin): "), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(refusal("pin").contains("at a.toml:1:"));
    }

    #[test]
    fn nested_key_of_a_knob_is_a_wrong_type() {
        assert!(refusal("pin.x = 1").starts_with("wrong type at a.toml:1:"));
        assert!(refusal("[pin]\nx = 1\n").starts_with("wrong type at a.toml:1:"));
        assert!(refusal("[[pin]]\n").starts_with("wrong type at a.toml:1:"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(
            text in "(pin|idle|[=.#'\"\\[\\]{}a1é-]|\\PC|\n| ){0,30}"
        ) {
            if let Err(error) = resolve(&text) {
                prop_assert_eq!(error.kind().exit_code(), 78);
            }
        }
    }

    #[test]
    fn duplicate_key_names_the_second() {
        let line = refusal("pin = \"on\"\npin = \"off\"\n");
        assert_eq!(line, "duplicate key at a.toml:2:1 (pin): pin; allowed TOML");
    }

    #[test]
    fn all_problems_of_a_file_are_told_in_its_order() {
        let text = refusal("pin = 1\npartitons = 2\nlinger = \"5y\"\n");
        let places: Vec<_> = text.lines().map(|line| line.split(" at ").next()).collect();
        // Values are checked when layers are resolved, so the unknown unit comes last.
        assert_eq!(places, [Some("wrong type"), Some("unknown key"), Some("unknown unit")]);
    }

    #[test]
    fn what_is_no_text_names_the_byte() {
        let error = text_of(b"pin = \xff".to_vec(), "a.toml").expect_err("not UTF-8");
        assert_eq!(error.to_string(), "not UTF-8 at a.toml: byte 6 is 0xff; allowed UTF-8 text");
        assert_eq!(error.kind().exit_code(), 65);
        let error = text_of(b"\x7fELF\0".to_vec(), "a.toml").expect_err("binary");
        assert_eq!(error.to_string(), "binary file at a.toml: byte 4 is 0x00; allowed UTF-8 text");
    }

    #[test]
    fn what_cannot_be_read_has_its_exit_code() {
        let code =
            |kind: io::ErrorKind| unreadable(&io::Error::from(kind), "a.toml").kind().exit_code();
        assert_eq!(code(io::ErrorKind::NotFound), 66);
        assert_eq!(code(io::ErrorKind::PermissionDenied), 77);
        assert_eq!(code(io::ErrorKind::InvalidInput), 74);
        let error = Config::from_file("/nowhere/at all").expect_err("missing");
        assert!(error.to_string().starts_with("no such file at /nowhere/at all: "), "{error}");
    }

    #[allow(clippy::disallowed_methods)] // The file has to exist to be refused.
    #[test]
    fn long_file_and_directory_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Config::from_file(folder.path()).expect_err("directory");
        assert_eq!(error.kind().exit_code(), 66);
        assert!(error.to_string().contains(": a directory; "), "{error}");

        let path = folder.path().join("long.toml");
        let file = std::fs::File::create(&path).expect("a file");
        file.set_len(1 << 30).expect("a sparse file");
        let error = Config::from_file(&path).expect_err("1 GiB");
        assert_eq!(error.kind().exit_code(), 65);
        let line = error.to_string();
        assert!(line.ends_with(": 1073741824 bytes; allowed 1048576 bytes"), "{line}");
    }
}
