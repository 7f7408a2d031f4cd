//! Punkt: where sentences end.
