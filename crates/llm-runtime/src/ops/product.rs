//! General matrix products: fast, but the order of their additions depends on the shape of the whole product.

use gemm::Parallelism;

/// A matrix inside a slice: rows of `width` values (`transposed` reads it the other way).
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    width: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    pub(crate) fn new(values: &'a [f32], width: usize) -> Self {
        Self { values, width, transposed: false }
    }

    pub(crate) fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// Rows and columns as read, and the distances between neighbours in a column and in a row.
    fn shape(self) -> (usize, usize, isize, isize) {
        let (rows, width) = (self.values.len() / self.width, self.width);
        match self.transposed {
            false => (rows, width, width as isize, 1),
            true => (width, rows, 1, width as isize),
        }
    }
}

/// `out (+)= alpha · left · right`; `out` is `[rows of left, columns of right]`, side by side. By one thread, for tasks that run beside others.
pub(crate) fn multiply(out: &mut [f32], accumulate: bool, left: Matrix<'_>, right: Matrix<'_>, alpha: f32) {
    product(out, accumulate, left, right, alpha, Parallelism::None);
}

/// `out = left · right`, by all threads.
pub(crate) fn multiply_in_parallel(out: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
    product(out, false, left, right, 1.0, Parallelism::Rayon(rayon::current_num_threads()));
}

fn product(
    out: &mut [f32],
    accumulate: bool,
    left: Matrix<'_>,
    right: Matrix<'_>,
    alpha: f32,
    parallelism: Parallelism,
) {
    let ((m, k, left_down, left_across), (k2, n, right_down, right_across)) = (left.shape(), right.shape());
    assert!(k == k2 && out.len() == m * n, "matrix shapes do not fit");
    // SAFETY: the strides stay inside the slices, whose lengths were just compared; `out` is borrowed mutably.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            left.values.as_ptr(),
            left_across,
            left_down,
            right.values.as_ptr(),
            right_across,
            right_down,
            1.0,
            alpha,
            false,
            false,
            false,
            parallelism,
        );
    }
}
