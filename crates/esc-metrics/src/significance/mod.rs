//! Is the difference between two systems more than chance?
//!
//! Both systems answered the same items. For metrics that are means over items, [`compare`] runs every test at once on
//! the items' scores. For corpus metrics (BLEU, METEOR) a resample's score is not the mean of its items' scores: it has
//! to be computed again from sums of sufficient statistics. Those go into [`ItemSums`], and [`Paired`] resamples them:
//!
//! ```
//! use esc_metrics::interval::Resampling;
//! use esc_metrics::significance::{ItemSums, Paired};
//!
//! // Matched and generated unigrams of three responses of two systems; the corpus metric is precision.
//! let first = ItemSums::from_rows(&[[5.0, 7.0], [3.0, 4.0], [9.0, 12.0]])?;
//! let second = ItemSums::from_rows(&[[4.0, 8.0], [3.0, 5.0], [2.0, 10.0]])?;
//! let precision = |sums: &[f64]| sums[0] / sums[1];
//! let comparison = Paired::new(&first, &second, precision)?.compare(&Resampling::default());
//! assert_eq!(comparison.first, 17.0 / 23.0);
//! assert_eq!(comparison.randomisation.p, 0.25);
//! # Ok::<(), esc_metrics::Error>(())
//! ```

pub(crate) mod distributions;
mod item_sums;
mod paired;
mod per_item;

pub use item_sums::{ItemSums, mean_of_sums};
pub use paired::{BootstrapTest, Comparison, EXACT_BELOW, Paired, Randomisation, compare};
pub use per_item::{
    PairedT, PerItemTests, SignTest, SignedRanks, ZeroDifferences, paired_t, sign_test, standardised_difference,
    wilcoxon_signed_rank,
};
