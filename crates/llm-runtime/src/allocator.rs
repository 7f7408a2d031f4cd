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
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Asked of the system at a time, beyond what is needed.
        const MORE_AT_A_TIME: libc::c_int = 64 << 20;
        // SAFETY: `mallopt` only sets these options.
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
            libc::mallopt(libc::M_TOP_PAD, MORE_AT_A_TIME);
        }
    }
}
