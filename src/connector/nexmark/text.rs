//! The strings of NEXMark events, each kept as a small number that it is derived from.
//!
//! An event with its strings in it would be some 500 bytes. These are `Copy`, are printed and
//! serialized as the text they stand for, and cost nothing where no query looks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::connector::generator::mix64;
use crate::error::{Error, ErrorKind, Result};

const FIRST_NAMES: [&str; 11] = [
    "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter",
];
const LAST_NAMES: [&str; 9] =
    ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const HOT_CHANNELS: [&str; 4] = ["Apple", "Google", "Facebook", "Baidu"];
const COLD_CHANNELS: u32 = 10_000;

fn unknown(what: &str, text: &str) -> Error {
    Error::new(ErrorKind::BadData, format!("`{text}` is no {what} of NEXMark"))
}

/// Which of `count` equal parts of 2^16 `bits` lies in.
fn part(bits: u16, count: usize) -> u8 {
    ((usize::from(bits) * count) >> 16) as u8
}

/// A city or a state of the United States.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Word(u8);

impl Word {
    pub(super) fn city(bits: u16) -> Word {
        Word(part(bits, CITIES.len()))
    }

    pub(super) fn state(bits: u16) -> Word {
        Word(CITIES.len() as u8 + part(bits, STATES.len()))
    }

    /// The word, as `Portland` or `OR`.
    pub fn as_str(self) -> &'static str {
        let index = usize::from(self.0);
        if index < CITIES.len() { CITIES[index] } else { STATES[index - CITIES.len()] }
    }
}

impl PartialEq<&str> for Word {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Word {
    type Err = Error;

    fn from_str(text: &str) -> Result<Word> {
        let index = CITIES.iter().chain(&STATES).position(|word| *word == text);
        index.map(|index| Word(index as u8)).ok_or_else(|| unknown("city or state", text))
    }
}

/// First and last name of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Name {
    first: u8,
    last: u8,
}

impl Name {
    pub(super) fn new(first: u16, last: u16) -> Name {
        Name { first: part(first, FIRST_NAMES.len()), last: part(last, LAST_NAMES.len()) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (usize::from(self.first), usize::from(self.last));
        write!(f, "{} {}", FIRST_NAMES[first], LAST_NAMES[last])
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Name> {
        let index = |names: &[&str], part: &str| names.iter().position(|name| *name == part);
        let parse = || {
            let (first, last) = text.split_once(' ')?;
            let (first, last) = (index(&FIRST_NAMES, first)?, index(&LAST_NAMES, last)?);
            Some(Name { first: first as u8, last: last as u8 })
        };
        parse().ok_or_else(|| unknown("person's name", text))
    }
}

/// Through which channel a bid came: one of four hot ones, or of 10,000 others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Channel(u32);

impl Channel {
    /// * `bits` - the lowest decides between hot and others, the rest which.
    #[inline]
    pub(super) fn drawn(bits: u32) -> Channel {
        let scaled = |count: u64| ((u64::from(bits) * count) >> 32) as u32;
        let hot = HOT_CHANNELS.len() as u32;
        let (any_hot, any_cold) = (scaled(hot.into()), hot + scaled(COLD_CHANNELS.into()));
        Channel(if bits & 1 == 1 { any_hot } else { any_cold })
    }

    /// Whether it is one of the four that half of all bids come through.
    pub fn is_hot(self) -> bool {
        (self.0 as usize) < HOT_CHANNELS.len()
    }

    /// The number that the channel goes by: 0 to 3 for `Apple`, `Google`, `Facebook` and `Baidu`,
    /// else the parameter `channel_id` of its URL, which one in ten lacks.
    pub fn id(self) -> Option<u32> {
        let drawn = mix64(mix64(self.0.into()));
        match self.is_hot() {
            true => Some(self.0),
            false => (!drawn.is_multiple_of(10)).then_some((drawn >> 33) as u32),
        }
    }

    /// The three directories in the path of the URL.
    pub fn directories(self) -> [String; 3] {
        let letters = Letters::new(mix64(self.0.into())).to_string();
        [&letters[..5], &letters[5..10], &letters[10..]].map(str::to_owned)
    }

    /// The URL of a bid through this channel.
    pub fn url(self) -> String {
        let path = self.directories().join("/");
        let base = format!("https://www.nexmark.com/{path}/item.htm?query=1");
        match self.id().filter(|_| !self.is_hot()) {
            Some(id) => format!("{base}&channel_id={id}"),
            None => base,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match HOT_CHANNELS.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "channel-{}", self.0 - HOT_CHANNELS.len() as u32),
        }
    }
}

impl FromStr for Channel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Channel> {
        let hot = HOT_CHANNELS.iter().position(|name| *name == text);
        let cold = || {
            let number: u32 = text.strip_prefix("channel-")?.parse().ok()?;
            (number < COLD_CHANNELS).then_some(HOT_CHANNELS.len() as u32 + number)
        };
        let number = hot.map(|index| index as u32).or_else(cold);
        number.map(Channel).ok_or_else(|| unknown("channel", text))
    }
}

/// A number that reads as fourteen small letters, the most significant first, so that numbers and
/// texts have the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Letters(u64);

impl Letters {
    /// The letters that stand for `number`.
    pub fn new(number: u64) -> Letters {
        Letters(number)
    }

    /// The fourteen letters, each in `b'a'..=b'z'`.
    pub fn bytes(self) -> [u8; 14] {
        let mut bytes = [0; 14];
        let mut rest = self.0;
        for byte in bytes.iter_mut().rev() {
            *byte = b'a' + (rest % 26) as u8;
            rest /= 26;
        }
        bytes
    }
}

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().into_iter().try_for_each(|byte| write!(f, "{}", char::from(byte)))
    }
}

impl FromStr for Letters {
    type Err = Error;

    fn from_str(text: &str) -> Result<Letters> {
        let digit = |byte: u8| byte.is_ascii_lowercase().then(|| u64::from(byte - b'a'));
        let add = |sum: u64, byte| sum.checked_mul(26)?.checked_add(digit(byte)?);
        let number = text.bytes().try_fold(0, add).filter(|_| text.len() == 14);
        number.map(Letters).ok_or_else(|| unknown("text", text))
    }
}

/// What serde needs of a type that it writes as a string.
macro_rules! as_string {
    ($($name:ident),*) => {$(
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<$name> {
                text.parse()
            }
        }
    )*};
}

as_string!(Word, Name, Channel, Letters);

#[cfg(test)]
mod tests {
    use super::*;

    /// Prints and parses it.
    fn there_and_back<T>(value: T, text: &str)
    where
        T: fmt::Display + fmt::Debug + PartialEq + FromStr<Err = Error>,
        String: From<T>,
        T: Copy,
    {
        assert_eq!(value.to_string(), text);
        assert_eq!(String::from(value), text);
        assert_eq!(text.parse::<T>().unwrap(), value);
    }

    #[test]
    fn texts_are_printed_and_parsed() {
        there_and_back(Word::city(0), "Phoenix");
        there_and_back(Word::city(u16::MAX), "Cheyenne");
        there_and_back(Word::state(0), "AZ");
        there_and_back(Word::state(u16::MAX), "WY");
        there_and_back(Name::new(0, 0), "Peter Shultz");
        there_and_back(Name::new(u16::MAX, u16::MAX), "Walter Noris");
        there_and_back(Channel(3), "Baidu");
        there_and_back(Channel(4), "channel-0");
        there_and_back(Channel(10_003), "channel-9999");
        there_and_back(Letters::new(0), "aaaaaaaaaaaaaa");
        there_and_back(Letters::new(27), "aaaaaaaaaaaabb");
        there_and_back(Letters::new(u64::MAX), "hlhxczmxsyumqp");
        assert_eq!(Word::state(u16::MAX), "WY");
    }

    #[test]
    fn other_texts_are_refused() {
        assert_eq!("Oregon".parse::<Word>().unwrap_err().kind(), ErrorKind::BadData);
        for text in ["Peter", "Peter Pan", "Shultz Peter"] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
        for text in ["", "apple", "channel-", "channel-10000", "channel--1"] {
            assert!(text.parse::<Channel>().is_err(), "{text}");
        }
        for text in ["", "aaaaaaaaaaaaa", "aaaaaaaaaaaaaA", "zzzzzzzzzzzzzz"] {
            assert!(text.parse::<Letters>().is_err(), "{text}");
        }
    }

    #[test]
    fn letters_have_the_order_of_their_numbers() {
        let numbers = [0, 1, 25, 26, 700, 1 << 40, u64::MAX - 1, u64::MAX];
        let texts = numbers.map(|number| Letters::new(number).to_string());
        assert!(texts.is_sorted());
    }

    #[test]
    fn url_holds_the_directories_and_the_id_of_a_channel_that_has_one() {
        let (mut with_id, cold) = (0, 4..10_004);
        for channel in cold.clone().map(Channel) {
            let url = channel.url();
            let path = url.strip_prefix("https://www.nexmark.com/").unwrap();
            assert_eq!(path.split('/').take(3).collect::<Vec<_>>(), channel.directories());
            let id = url.split_once("channel_id=").map(|(_, id)| id.parse().unwrap());
            assert_eq!(id, channel.id());
            with_id += u32::from(id.is_some());
        }
        assert!((8_900..9_100).contains(&with_id), "{with_id} of 10,000");
        assert_eq!(Channel(2).id(), Some(2));
        assert!(Channel(2).url().ends_with("?query=1"));
    }
}
