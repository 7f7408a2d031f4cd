//! An output matrix that tasks fill side by side.

/// Where tasks write their elements. Each element belongs to one task.
#[derive(Clone, Copy)]
pub(super) struct SharedOut {
    start: *mut f32,
    rows: usize,
    columns: usize,
}

// SAFETY: tasks write disjoint elements.
unsafe impl Send for SharedOut {}
// SAFETY: as above.
unsafe impl Sync for SharedOut {}

impl SharedOut {
    /// A matrix with rows of `columns` values. The caller keeps `out` borrowed while tasks write.
    pub(super) fn new(out: &mut [f32], columns: usize) -> Self {
        Self { start: out.as_mut_ptr(), rows: out.len() / columns, columns }
    }

    /// # Safety
    /// No other task writes this element, and the matrix is still there.
    #[inline(always)]
    pub(super) unsafe fn write(self, row: usize, column: usize, value: f32) {
        debug_assert!(row < self.rows && column < self.columns);
        // SAFETY: the caller's promise; the indices are inside by construction of the tasks.
        unsafe { *self.start.add(row * self.columns + column) = value };
    }
}
