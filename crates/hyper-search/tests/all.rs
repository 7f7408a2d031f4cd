//! One test binary, a module per subject.
