//! Correlations: Pearson, Spearman, Kendall.
