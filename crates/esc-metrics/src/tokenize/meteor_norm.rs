//! METEOR 1.5's normaliser.
