//! One test binary; a module per subject.

mod layouts;
mod runs;
mod sampling_vectors;
