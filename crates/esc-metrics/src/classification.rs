//! Predicted against true classes: accuracy, F1, confusion, top-k.
