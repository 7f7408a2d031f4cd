//! How the C library hands out memory.

/// Heaps of a server: one for its requests, one more so that threads seldom wait for each other.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: libc::c_int = 2;

/// Lets all threads of a server take memory from the same few heaps.
///
/// glibc gives each thread a heap of its own, up to eight for each core, and keeps what was freed in it. Where requests come to changing threads, every heap grows
/// to the size of the largest request, so that a server would hold many times what it ever needs at once. Call it before threads are started; elsewhere it does nothing.
pub fn share_heaps() {
    // SAFETY: sets a number in the allocator and touches no memory. A number that is not taken changes nothing.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
    }
}
