//! One test binary; a module per subject.

mod aggregate;
mod browser;
mod compare;
mod container;
mod export;
mod index;
mod sample;
mod server;
mod turns;
