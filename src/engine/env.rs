//! The only file of the library that reads the process's environment.

use crate::config::{Config, Layer};
use crate::error::Result;
use crate::runtime::UserFolder;

impl Config {
    /// The configuration that the environment asks for: `MILLSTREAM_PARTITIONS=4` and its like
    /// over the defaults.
    ///
    /// # Errors
    /// [`Usage`](crate::ErrorKind::Usage) with everything that is wrong in it, a line each.
    #[allow(clippy::disallowed_methods)] // This is the door that the ban points to.
    pub fn from_env() -> Result<Config> {
        Config::resolve([Layer::from_variables(std::env::vars_os())], None)
    }
}

/// Where the jobs of this user meet.
#[allow(clippy::disallowed_methods)] // As above.
pub(super) fn user_folder() -> UserFolder {
    UserFolder::of(|name| std::env::var_os(name))
}
