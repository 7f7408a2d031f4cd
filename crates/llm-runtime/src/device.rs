//! Where tensors live: one helper that turns `--device auto|cpu|cuda[:N]` into a candle device.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;
use tracing::{info, warn};

use crate::Error;

/// A device as a user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first CUDA device if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::Invalid(format!("device `{text}`: expected auto, cpu, cuda or cuda:N"));
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                number.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device. `auto` falls back to the CPU with a logged line; a device asked for by name does not.
    ///
    /// # Errors
    /// The CUDA device does not exist or this build has no CUDA support.
    pub fn open(self) -> Result<Device, Error> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(number) => open_cuda(number).map_err(|error| {
                Error::Invalid(format!(
                    "device cuda:{number} can't be opened ({}): use --device cpu, or a build with --features cuda on a machine with a CUDA driver",
                    first_line(&error)
                ))
            }),
            Self::Auto if !cfg!(feature = "cuda") => {
                info!("device: cpu (this build has no CUDA support)");
                Ok(Device::Cpu)
            }
            Self::Auto => match open_cuda(0) {
                Ok(device) => {
                    info!("device: cuda:0");
                    Ok(device)
                }
                Err(error) => {
                    warn!("device: cpu (no CUDA device could be opened: {})", first_line(&error));
                    Ok(Device::Cpu)
                }
            },
        }
    }
}

/// A device all of whose work, whatever thread asks for it, is done in one order (one stream).
fn open_cuda(number: usize) -> candle_core::Result<Device> {
    let device = Device::new_cuda_with_stream(number)?;
    #[cfg(feature = "cuda")]
    crate::kernels::cuda::prepare(device.as_cuda_device()?)?;
    Ok(device)
}

/// The device for tests of device code; none, said aloud, where there is none.
#[cfg(all(test, feature = "cuda"))]
pub(crate) fn test_device() -> Option<Device> {
    open_cuda(0).inspect_err(|error| eprintln!("skipped: no CUDA device ({})", first_line(error))).ok()
}

/// candle's errors carry a backtrace in their text.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Sets the number of threads of every pool of this process: rayon's and candle's. To be called before any tensor work,
/// once; results do not depend on it.
///
/// # Errors
/// `threads` is 0, or the pools run already.
pub fn set_threads(threads: usize) -> Result<(), Error> {
    if threads == 0 {
        return Err(Error::Invalid("--threads 0: at least one thread is needed".into()));
    }
    // candle's own pool reads the first variable when it is first used, and the second at every product; where that is not set it counts the
    // cores in /proc/cpuinfo each time.
    for variable in ["CANDLE_NUM_THREADS", "RAYON_NUM_THREADS"] {
        // SAFETY: called at the start of `main`, before any other thread runs.
        unsafe { std::env::set_var(variable, threads.to_string()) };
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Error::Invalid(format!("--threads {threads}: {error}")))
}
