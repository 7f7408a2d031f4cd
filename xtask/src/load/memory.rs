//! How much memory a process holds, looked at again and again.

use std::path::PathBuf;

/// Growth between the second and the last quarter of a run up to which memory counts as flat.
const FLAT: f64 = 1.05;

/// What is known of a process.
pub(super) struct Memory {
    process: PathBuf,
    samples: Vec<Sample>,
}

/// A look at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    /// Seconds since the beginning.
    pub(super) at: f64,
    /// Resident memory in bytes.
    pub(super) resident: u64,
    /// Open files and sockets.
    pub(super) files: usize,
}

impl Memory {
    pub(super) fn of(process: u32) -> Self {
        Self { process: PathBuf::from(format!("/proc/{process}")), samples: Vec::new() }
    }

    /// Looks once.
    ///
    /// # Errors
    /// The system does not tell.
    pub(super) fn look(&mut self, at: f64) -> Result<(), String> {
        let path = self.process.join("status");
        let status = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let resident = resident(&status).ok_or_else(|| format!("{}: no VmRSS", path.display()))?;
        let files = std::fs::read_dir(self.process.join("fd")).map_or(0, Iterator::count);
        self.samples.push(Sample { at, resident, files });
        Ok(())
    }

    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Medians of the second and of the last quarter, in bytes.
    pub(super) fn quarters(&self) -> (u64, u64) {
        let quarter = self.samples.len() / 4;
        let median = |samples: &[Sample]| {
            let mut sizes: Vec<u64> = samples.iter().map(|sample| sample.resident).collect();
            sizes.sort_unstable();
            sizes.get(sizes.len() / 2).copied().unwrap_or(0)
        };
        (median(&self.samples[quarter..2 * quarter]), median(&self.samples[self.samples.len() - quarter..]))
    }

    /// Whether it has stopped growing.
    pub(super) fn is_flat(&self) -> bool {
        let (second, last) = self.quarters();
        last as f64 <= second as f64 * FLAT
    }
}

/// `VmRSS:   1234 kB`
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_grows_is_not_flat() {
        let of = |sizes: &[u64]| {
            let samples = sizes.iter().map(|size| Sample { at: 0.0, resident: *size, files: 1 }).collect();
            Memory { process: PathBuf::new(), samples }
        };
        let steady = of(&[10, 50, 100, 101, 100, 102, 103, 101]);
        assert_eq!((steady.quarters(), steady.is_flat()), ((101, 103), true));
        assert!(!of(&[10, 20, 30, 40, 50, 60, 70, 80]).is_flat());
    }

    #[test]
    fn the_kernels_line_is_read() {
        assert_eq!(resident("Name:\tsra\nVmRSS:\t    2048 kB\nThreads:\t4\n"), Some(2 << 20));
        assert_eq!(resident("Name:\tsra\n"), None);
    }
}
