//! Is a difference between two systems more than chance?.
