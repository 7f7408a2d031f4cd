//! One test binary; a module per subject.

mod aggregate;
mod browser;
mod container;
mod sample;
mod server;
