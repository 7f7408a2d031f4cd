//! Memory of packed matrices: zeros at first, beginning where a line of the cache begins.
//!
//! Large matrices get pages of 2 MiB where Linux has them: a product reads its matrix once from end to end, and with pages of 4 KiB the processor would look each of them up in
//! tables. They lie outside the allocator's heap, so that what loading frees is in one piece for the next matrix.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Zeroed bytes, aligned for vectors.
pub(super) struct Pages {
    start: NonNull<u8>,
    length: usize,
    is_mapped: bool,
}

// SAFETY: the bytes belong to this value alone, and only a unique reference changes them.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    pub(super) fn zeros(length: usize) -> Self {
        if let Some(start) = mapped::zeros(length) {
            return Self { start, length, is_mapped: true };
        }
        let layout = Self::layout(length);
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) });
        Self { start: start.unwrap_or_else(|| handle_alloc_error(layout)), length, is_mapped: false }
    }

    fn layout(length: usize) -> Layout {
        let layout = Layout::from_size_align(length.max(1), LINE);
        layout.unwrap_or_else(|_| handle_alloc_error(Layout::new::<u8>()))
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        // SAFETY: so many bytes are there, and initialised.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: both were made with the same length in `zeros`.
        unsafe {
            match self.is_mapped {
                true => mapped::free(self.start, self.length),
                false => dealloc(self.start.as_ptr(), Self::layout(self.length)),
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod mapped {
    use std::ptr::NonNull;

    /// Bytes of a large page.
    const LARGE: usize = 2 << 20;

    /// A mapping of its own that begins where a large page begins; `None` for few bytes, and where the system has none.
    pub(super) fn zeros(length: usize) -> Option<NonNull<u8>> {
        if length < LARGE {
            return None;
        }
        let whole = length.checked_add(LARGE)?;
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping touches nothing that exists; what lies before and behind the aligned part is given back, and belongs to nobody.
        unsafe {
            let mapping = libc::mmap(std::ptr::null_mut(), whole, access, kind, -1, 0);
            if mapping == libc::MAP_FAILED {
                return None;
            }
            let before = mapping.align_offset(LARGE);
            let start = mapping.add(before);
            if before > 0 {
                libc::munmap(mapping, before);
            }
            let end = length.next_multiple_of(PAGE);
            libc::munmap(start.add(end), whole - before - end);
            libc::madvise(start, length, libc::MADV_HUGEPAGE);
            NonNull::new(start.cast())
        }
    }

    /// The smallest page is no larger on any system that packs matrices.
    const PAGE: usize = 4096;

    /// # Safety
    /// `start` comes from [`zeros`] with this length, and nothing uses the bytes any more.
    pub(super) unsafe fn free(start: NonNull<u8>, length: usize) {
        // SAFETY: the caller's promise.
        unsafe { libc::munmap(start.as_ptr().cast(), length.next_multiple_of(PAGE)) };
    }
}

#[cfg(not(target_os = "linux"))]
mod mapped {
    use std::ptr::NonNull;

    pub(super) fn zeros(_length: usize) -> Option<NonNull<u8>> {
        None
    }

    pub(super) unsafe fn free(_start: NonNull<u8>, _length: usize) {}
}

#[cfg(test)]
mod tests {
    use super::Pages;

    #[test]
    fn small_and_large_ones_are_zeros_aligned_and_written_to_the_end() {
        for length in [0, 1, 64, 4097, (2 << 20) - 1, 2 << 20, (5 << 20) + 4096 * 3 + 17] {
            let mut pages = Pages::zeros(length);
            assert_eq!(pages.as_slice().len(), length);
            assert!(pages.as_slice().iter().all(|byte| *byte == 0));
            assert_eq!(pages.as_slice().as_ptr() as usize % 64, 0);
            pages.as_mut_slice().fill(7);
            assert!(pages.as_slice().iter().all(|byte| *byte == 7));
        }
    }
}
