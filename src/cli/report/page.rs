//! The page itself: one JSON object, a short script, and the library that draws.

use serde::Serialize;

use crate::cli::report::recorder::Recording;
use crate::cli::summary::Summary;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = concat!(include_str!("drawing.js"), "\n", include_str!("page.js"));

/// The library, compressed: the browser unpacks it. Empty in a build without it.
#[cfg(feature = "report")]
const LIBRARY: &[u8] = include_bytes!("echarts/echarts.min.js.gz");
#[cfg(not(feature = "report"))]
const LIBRARY: &[u8] = &[];

/// What a page shows.
#[derive(Debug, Serialize)]
pub(crate) struct Shown<'a> {
    /// As `--format json` prints it.
    pub(crate) summary: &'a Summary,
    /// Why its figures do not mean what they say.
    pub(crate) doubts: &'a [String],
    /// Which of the repetitions the plots are of, from 1.
    pub(crate) repetition: usize,
    pub(crate) recording: &'a Recording,
}

/// Whether this build has the library.
pub(crate) fn can_draw() -> bool {
    !LIBRARY.is_empty()
}

/// The page, whole.
pub(crate) fn page(shown: &Shown<'_>) -> String {
    format!(
        include_str!("page.html"),
        style = STYLE,
        data = data(shown),
        library = base64(LIBRARY),
        script = SCRIPT,
    )
}

/// `value` as JSON that means the same within a page: no text in it can end the element that it
/// stands in, or begin another one.
fn data(value: &impl Serialize) -> String {
    let json =
        serde_json::to_string(value).expect("a page has string keys and finite numbers only");
    // Outside of strings JSON has none of these.
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            let is_padding = digit > chunk.len();
            text.push(if is_padding { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_usual_one() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
            ("\u{fb}\u{ff}>?", "w7vDvz4/"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded, "{plain}");
        }
        assert_eq!(base64(&[0xFB, 0xEF, 0xFF]), "++//");
    }

    #[test]
    fn a_key_that_looks_like_a_tag_stays_a_key() {
        let keys = ["</script><script>alert(1)</script>", "<!--", "]]>", "&lt;", "a\"b\\c"];
        let text = data(&keys);
        assert!(!text.contains(['<', '>', '&']), "{text}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).expect("JSON"), keys);
    }

    #[test]
    fn nothing_in_the_page_names_a_host_or_ends_a_script_too_early() {
        for part in [include_str!("page.html"), STYLE, SCRIPT] {
            assert!(!part.contains("://") && !part.contains("src="), "{part}");
        }
        for part in [STYLE, SCRIPT] {
            assert!(!part.contains("</"), "{part}");
        }
    }
}
