//! strategy-prompting
