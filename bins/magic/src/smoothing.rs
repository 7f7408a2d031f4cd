//! The smoothed line of the published loss curves.

/// Smooths a curve: `s₀ = x₀`, `sᵢ = w·sᵢ₋₁ + (1 − w)·xᵢ`, with `w = 1.8·(1/(1 + e^(−0.05·n)) − ½)` for `n` points.
///
/// The more points, the smoother: `w` goes from 0 to 0.9. The line lags behind a falling curve; the picture
/// of a run that every training leaves shows means of neighbouring records instead.
pub fn smoothed_curve(points: &[f64]) -> Vec<f64> {
    let weight = 1.8 * (1.0 / (1.0 + (-0.05 * points.len() as f64).exp()) - 0.5);
    let mut last = None;
    let smooth = points.iter().map(|point| {
        let smooth = last.map_or(*point, |last: f64| weight * last + (1.0 - weight) * point);
        last = Some(smooth);
        smooth
    });
    smooth.collect()
}

#[cfg(test)]
mod tests {
    use super::smoothed_curve;

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn the_first_point_stays_and_a_constant_does_too() {
        assert_eq!(smoothed_curve(&[]), [0.0; 0]);
        assert_eq!(smoothed_curve(&[2.5]), [2.5]);
        assert_close(&smoothed_curve(&[3.0; 50]), &[3.0; 50]);
    }

    #[test]
    fn values_follow_the_formula() {
        // n = 4: w = 1.8 (1/(1 + e^-0.2) - 0.5), by Python.
        let w = 0.089_701_195_162_460_32;
        let second = w * 4.0 + (1.0 - w) * 2.0;
        let third = w * second + (1.0 - w);
        assert_close(&smoothed_curve(&[4.0, 2.0, 1.0, 1.0]), &[4.0, second, third, w * third + (1.0 - w)]);
    }

    #[test]
    fn many_points_are_smoothed_by_nine_tenths() {
        let mut points = vec![0.0; 1000];
        points[998] = 1.0;
        let smooth = smoothed_curve(&points);
        assert!((smooth[998] - 0.1).abs() < 1e-9 && (smooth[999] - 0.09).abs() < 1e-9);
    }
}
