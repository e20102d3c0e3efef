//! What is held per key: the values, the aggregates over them, and the table they lie in.

pub mod aggregate;
mod cursor;
mod group;
mod segment;
mod table;
#[cfg(test)]
mod table_test;
mod timer;

pub use cursor::Cursor;
pub use group::Group;
pub(crate) use group::Run;
pub use table::KeyedStore;
pub use timer::{KeyTimers, TimerQueue};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// What can be written into a checkpoint and read back: keys and their state. Implemented for
/// every type that can be; [`Volatile`] opts a field or a whole state out.
pub trait Storable: Serialize + DeserializeOwned + Send + 'static {}

impl<S: Serialize + DeserializeOwned + Send + 'static> Storable for S {}

/// State that is never written down: a cache, a connection, a type without serde.
///
/// Writing or reading it is an error, so a job that holds it is refused once checkpoints are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Volatile<S>(pub S);

const VOLATILE: &str = "volatile state is not stored: remove `Volatile` or run without checkpoints";

impl<S> Serialize for Volatile<S> {
    fn serialize<W: Serializer>(&self, _writer: W) -> Result<W::Ok, W::Error> {
        Err(ser::Error::custom(VOLATILE))
    }
}

impl<'de, S> Deserialize<'de> for Volatile<S> {
    fn deserialize<R: Deserializer<'de>>(_reader: R) -> Result<Self, R::Error> {
        Err(de::Error::custom(VOLATILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_storable<S: Storable>() {}

    #[test]
    fn volatile_state_is_storable_by_type_and_refuses_at_run_time() {
        struct WithoutSerde;
        assert_storable::<Volatile<WithoutSerde>>();
        assert_storable::<(u64, Vec<String>)>();
        let error = serde_json::to_string(&Volatile(WithoutSerde)).expect_err("must refuse");
        assert!(error.to_string().contains("volatile state"), "{error}");
        let error = serde_json::from_str::<Volatile<u32>>("1").map(|_| ()).expect_err("refuses");
        assert!(error.to_string().contains("volatile state"), "{error}");
    }
}
