//! The system's allocator, set for programs that work on large tensors.

/// Gives freed memory back after all, before somebody looks how much there is.
#[cfg(feature = "engine")]
pub(crate) fn release_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Keeps freed memory for the next tensors of this process. By default glibc gives large blocks back to the system at once, and each step of
/// training or decoding gets its memory page by page anew (a sixth of the time of a training step at BART-base's shape). To be called at the
/// start of a program, which then keeps the most that it ever needed; does nothing with other allocators.
///
/// The system is asked for no more than is needed at a time (`M_TOP_PAD` stays small): memory that was asked for ahead would be cleared when zeros are wanted, page by page, and a cache
/// of keys and values would take all of its memory at once.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `mallopt` only sets these options.
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        }
    }
}
