//! The order of observations by size, equal ones included.
//!
//! Of several observations at one place, the outer ones get the distance to a neighbour as their kernel's width and the inner ones none. Which
//! is which depends on how the sort orders what is equal, and Optuna's suggestions depend on it: it sorts with `numpy.argsort`, which is a
//! bitonic network (Batcher 1968) on processors with AVX2. This is that network, so that suggestions are the same on every processor.

/// More are sorted stably; NumPy goes over to a quicksort there.
const LARGEST_NETWORK: usize = 256;

/// The places of `values` from the smallest to the largest.
pub(super) fn ascending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    if values.len() > LARGEST_NETWORK {
        order.sort_by(|left, right| values[*left].total_cmp(&values[*right]));
        return order;
    }
    let size = values.len().next_power_of_two();
    let mut block = 2;
    while block <= size {
        exchange(&mut order, values, |place| place ^ (block - 1));
        let mut distance = block / 4;
        while distance > 0 {
            exchange(&mut order, values, |place| place ^ distance);
            distance /= 2;
        }
        block *= 2;
    }
    order
}

/// Compares every place with its partner and exchanges what is not in order; equal values stay. Partners beyond the end are infinite.
fn exchange(order: &mut [usize], values: &[f64], partner: impl Fn(usize) -> usize) {
    for place in 0..order.len() {
        let other = partner(place);
        if other > place && other < order.len() && values[order[place]] > values[order[other]] {
            order.swap(place, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.argsort` of NumPy 2.4.6 on a processor with AVX2.
    #[test]
    fn equal_values_are_in_numpys_order() {
        let values = [5, 2, 3, 2, 3, 4, 5, 3, 2, 2].map(f64::from);
        assert_eq!(ascending(&values), [1, 3, 9, 8, 7, 4, 2, 5, 6, 0]);
        let values = [3, 2, 3, 2, 3, 2, 4, 4, 4, 4, 2, 3, 3, 3, 2, 2, 2, 2, 4, 4].map(f64::from);
        assert_eq!(ascending(&values), [1, 3, 5, 10, 15, 14, 17, 16, 13, 12, 4, 11, 2, 0, 7, 6, 9, 8, 18, 19]);
        assert!(ascending(&[]).is_empty());
        assert_eq!(ascending(&[1.0]), [0]);
    }

    #[test]
    fn any_number_of_values_is_sorted() {
        for count in 0..300 {
            let values: Vec<f64> = (0..count).map(|place| f64::from(place * 7919 % 101)).collect();
            let sorted: Vec<f64> = ascending(&values).into_iter().map(|place| values[place]).collect();
            assert!(sorted.is_sorted(), "{count} values");
        }
    }
}
