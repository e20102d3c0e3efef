//! Built-in connectors: where records come from and where they go.

pub mod generator;
