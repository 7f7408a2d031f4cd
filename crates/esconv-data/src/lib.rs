//! esconv-data
