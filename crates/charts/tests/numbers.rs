//! Quartiles and lines against known values.

use charts::{BoxSummary, LinearFit};

#[test]
fn quartiles_are_those_of_numpy() {
    // numpy.percentile([1, 2, 4, 8, 16, 100], [25, 50, 75]) is 2.5, 6.0, 14.0.
    let summary = BoxSummary::of(&[16.0, 1.0, 100.0, f64::NAN, 2.0, 8.0, 4.0]).unwrap();
    assert_eq!([summary.lower_quartile, summary.median, summary.upper_quartile], [2.5, 6.0, 14.0]);
    assert_eq!([summary.lower_whisker, summary.upper_whisker], [1.0, 16.0]);
    assert_eq!(summary.outliers, [100.0]);
    assert_eq!(BoxSummary::of(&[f64::INFINITY]), None);
    assert_eq!(BoxSummary::of(&[7.0]).unwrap().median, 7.0);
}

#[test]
fn a_line_of_least_squares() {
    // Anscombe's first set: y = 3.00 + 0.500 x, R² = 0.67.
    let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
    let y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
    let points: Vec<_> = x.into_iter().zip(y).collect();
    let fit = LinearFit::through(&points).unwrap();
    assert!((fit.slope - 0.500_09).abs() < 1e-4 && (fit.intercept - 3.000_1).abs() < 1e-3, "{fit:?}");
    assert!((fit.r_squared - 0.666_5).abs() < 1e-3);
    assert_eq!(LinearFit::through(&[(1.0, 2.0), (1.0, 3.0)]), None);
    assert_eq!(LinearFit::through(&[]), None);
}
