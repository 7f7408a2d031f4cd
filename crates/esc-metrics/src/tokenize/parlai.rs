//! ParlAI's normalised words.
