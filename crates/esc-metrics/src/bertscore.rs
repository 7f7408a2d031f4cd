//! BERTScore's matching.
