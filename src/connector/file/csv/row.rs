//! A CSV row as a serde deserializer: by position where that is the same as by name, else by name.

use std::fmt;
use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess};
use serde::de::{Unexpected, Visitor};

use crate::connector::dead_letter::{DeadLetterReason, Rejected};
use crate::connector::file::csv::fields::Fields;

/// How the fields of a struct are found in the rows of a file.
///
/// Matching every name in every row is work that comes out the same for all rows of a file. So once
/// a row was read by name, the rest of the file is read by
/// position, if every field that the struct asked for is one column. serde tells the names but not
/// how they are used, so a struct may turn out not to read one value for each name in their order;
/// reading by position then fails on a count, and the file is read by name for good.
#[derive(Clone, Debug)]
pub(super) enum Columns {
    /// No row of the file has been read.
    Unknown,
    /// `columns[i]` - the column of `fields[i]`.
    Positions { fields: &'static [&'static str], columns: Vec<usize> },
    /// By name, always.
    ByName,
}

impl Columns {
    pub(super) fn are_positions(&self) -> bool {
        matches!(self, Columns::Positions { .. })
    }

    fn of(fields: &'static [&'static str], header: &[String]) -> Columns {
        let mut columns = Vec::with_capacity(fields.len());
        for field in fields {
            let mut found = (0..header.len()).filter(|&column| header[column] == *field);
            match (found.next(), found.next()) {
                (Some(column), None) => columns.push(column),
                _ => return Columns::ByName,
            }
        }
        Columns::Positions { fields, columns }
    }
}

/// One row, with as many fields as the header.
pub(super) struct Row<'a> {
    pub(super) text: &'a str,
    pub(super) fields: &'a Fields,
    pub(super) header: &'a [String],
    pub(super) columns: &'a mut Columns,
}

impl<'a> Row<'a> {
    #[inline]
    fn field(&self, column: usize) -> Field<'a> {
        Field { text: self.fields.field(self.text, column) }
    }

    /// The only field of a row that becomes a single value.
    fn single(&self) -> Result<Field<'a>, Box<RowError>> {
        match self.fields.count() {
            1 => Ok(self.field(0)),
            count => Err(RowError::new(
                DeadLetterReason::BadValue,
                format!("a row of {count} columns; allowed: one column, for a single value"),
            )),
        }
    }
}

macro_rules! single_values {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            self.single()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Row<'_> {
    type Error = Box<RowError>;

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match &*self.columns {
            Columns::Positions { fields: known, columns } if std::ptr::eq(*known, fields) => {
                let mut values = Positional { row: &self, columns: columns.iter() };
                let value = visitor.visit_seq(&mut values)?;
                match values.columns.len() {
                    0 => Ok(value),
                    _ => Err(de::Error::custom("fields are not read one by one")),
                }
            }
            Columns::Unknown => {
                let value = visitor.visit_map(Named { row: &self, column: 0 })?;
                *self.columns = Columns::of(fields, self.header);
                Ok(value)
            }
            _ => visitor.visit_map(Named { row: &self, column: 0 }),
        }
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_map(Named { row: &self, column: 0 })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_any(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let columns: Vec<usize> = (0..self.fields.count()).collect();
        visitor.visit_seq(&mut Positional { row: &self, columns: columns.iter() })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let count = self.fields.count();
        if count != len {
            let text = format!("a row of {count} columns; allowed: {len}, for this type");
            return Err(RowError::new(DeadLetterReason::ColumnCount, text));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.fields.count() {
            1 => self.field(0).deserialize_option(visitor),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.single()?.deserialize_enum(name, variants, visitor)
    }

    single_values! {
        deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_identifier deserialize_f32 deserialize_f64
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }
}

/// The fields of a row in the order of the columns that are left.
struct Positional<'a> {
    row: &'a Row<'a>,
    columns: std::slice::Iter<'a, usize>,
}

impl<'de> SeqAccess<'de> for Positional<'_> {
    type Error = Box<RowError>;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Self::Error> {
        let Some(&column) = self.columns.next() else {
            return Ok(None);
        };
        seed.deserialize(self.row.field(column)).map(Some).map_err(|error| error.at(column))
    }
}

/// The fields of a row with the names of their columns.
struct Named<'a> {
    row: &'a Row<'a>,
    /// The column that comes next; its name may have been read.
    column: usize,
}

impl<'de> MapAccess<'de> for Named<'_> {
    type Error = Box<RowError>;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        let Some(name) = self.row.header.get(self.column) else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, Box<RowError>> = name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Self::Error> {
        let column = self.column;
        self.column += 1;
        seed.deserialize(self.row.field(column)).map_err(|error| error.at(column))
    }
}

/// One field.
#[derive(Clone, Copy)]
struct Field<'a> {
    text: &'a str,
}

impl Field<'_> {
    #[inline]
    fn integer<N: FromStr<Err = ParseIntError>>(self) -> Result<N, Box<RowError>> {
        self.text.parse().map_err(|error| self.no_integer::<N>(&error))
    }

    #[cold]
    fn no_integer<N>(self, error: &ParseIntError) -> Box<RowError> {
        let reason = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => DeadLetterReason::OutOfRange,
            _ if is_integer(self.text) => DeadLetterReason::OutOfRange, // "-1" for an unsigned type
            _ => DeadLetterReason::BadValue,
        };
        self.refused(reason, std::any::type_name::<N>())
    }

    /// The field as a finite number. An integer must be one that the type holds exactly.
    #[inline]
    fn float<N: FromStr + Into<f64> + Copy>(self, digits: usize) -> Result<N, Box<RowError>> {
        let Ok(number) = self.text.parse::<N>() else {
            return Err(self.refused(DeadLetterReason::BadValue, std::any::type_name::<N>()));
        };
        let value: f64 = number.into();
        let is_exact = self.text.len() <= digits
            || !is_integer(self.text)
            || self.text.parse() == Ok(value as i128);
        if value.is_finite() && is_exact {
            return Ok(number);
        }
        // "inf" and "NaN" are words; a number without end is one that was too large.
        let is_number = self.text.bytes().any(|byte| byte.is_ascii_digit());
        let out_of_range = DeadLetterReason::OutOfRange;
        let reason = if is_number { out_of_range } else { DeadLetterReason::BadValue };
        Err(self.refused(reason, std::any::type_name::<N>()))
    }

    #[cold]
    fn refused(self, reason: DeadLetterReason, allowed: &str) -> Box<RowError> {
        RowError::new(reason, format!("{:.40}; allowed: {allowed}", self.text))
    }
}

/// Whether `text` is digits, with or without a sign.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

macro_rules! integers {
    ($($method:ident $visit:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            visitor.$visit(self.integer()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Field<'_> {
    type Error = Box<RowError>;

    /// Guesses, for types that take anything: a truth value, a number, else text.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if let Ok(value) = self.text.parse::<bool>() {
            visitor.visit_bool(value)
        } else if let Ok(value) = self.text.parse::<u64>() {
            visitor.visit_u64(value)
        } else if let Ok(value) = self.text.parse::<i64>() {
            visitor.visit_i64(value)
        } else if let Ok(value) = self.float::<f64>(15) {
            visitor.visit_f64(value)
        } else {
            visitor.visit_str(self.text)
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.text {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(self.refused(DeadLetterReason::BadValue, "true, false")),
        }
    }

    integers! {
        deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32
        deserialize_i64 visit_i64 deserialize_i128 visit_i128
        deserialize_u8 visit_u8 deserialize_u16 visit_u16 deserialize_u32 visit_u32
        deserialize_u64 visit_u64 deserialize_u128 visit_u128
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_f32(self.float(7)?)
    }

    #[inline]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_f64(self.float(15)?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let mut chars = self.text.chars();
        match (chars.next(), chars.next()) {
            (Some(char), None) => visitor.visit_char(char),
            _ => Err(self.refused(DeadLetterReason::BadValue, "one character")),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_str(self.text)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_str(self.text)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_bytes(self.text.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_bytes(self.text.as_bytes())
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.text.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.text {
            "" => visitor.visit_unit(),
            _ => Err(self.refused(DeadLetterReason::BadValue, "an empty field")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self.text.into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        seq tuple tuple_struct map struct identifier
    }
}

/// Why a row did not become a value.
#[derive(Debug)]
pub(super) struct RowError {
    reason: DeadLetterReason,
    column: Option<usize>,
    message: String,
}

impl RowError {
    fn new(reason: DeadLetterReason, message: String) -> Box<RowError> {
        Box::new(RowError { reason, column: None, message })
    }

    /// The same error, known to be about `column`.
    #[cold]
    fn at(mut self: Box<Self>, column: usize) -> Box<Self> {
        self.column.get_or_insert(column);
        self
    }

    /// What becomes of a row that no other way of reading it takes either.
    pub(super) fn rejected(&self, header: &[String]) -> Rejected {
        match self.column {
            Some(column) => {
                let text = format!("{:.20}: {}", header[column], self.message);
                Rejected::new(self.reason, &text)
            }
            None => Rejected::new(self.reason, &self.message),
        }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RowError {}

impl de::Error for Box<RowError> {
    fn custom<T: fmt::Display>(message: T) -> Self {
        RowError::new(DeadLetterReason::BadValue, message.to_string())
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let reason = match unexpected {
            Unexpected::Signed(_) | Unexpected::Unsigned(_) => DeadLetterReason::OutOfRange,
            _ => DeadLetterReason::BadValue,
        };
        RowError::new(reason, format!("{unexpected}; allowed: {expected}"))
    }

    fn missing_field(field: &'static str) -> Self {
        RowError::new(DeadLetterReason::MissingField, format!("no column {field}"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        RowError::new(DeadLetterReason::DuplicateKey, format!("column {field} stands twice"))
    }
}
