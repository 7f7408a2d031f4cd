//! Which strategies a model prefers: Bradley-Terry strengths and their spread.
