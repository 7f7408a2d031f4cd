//! Where tensors live: one helper that turns `--device auto|cpu|cuda[:N]` into a candle device.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

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
    /// Opens the device; a CUDA device is opened once in a process, and given again. `auto` falls back to the CPU with a logged line; a device asked for by name does not.
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

/// A device all of whose work, whatever thread asks for it, is done in one order: each is opened once in a process, with one stream.
fn open_cuda(number: usize) -> candle_core::Result<Device> {
    static OPEN: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = open.get(&number) {
        return Ok(device.clone());
    }
    let device = Device::new_cuda_with_stream(number)?;
    #[cfg(feature = "cuda")]
    crate::kernels::cuda::prepare(device.as_cuda_device()?);
    open.insert(number, device.clone());
    Ok(device)
}

/// The device for tests of device code: `$SOLACE_TEST_DEVICE`, which must open, else the first; none, said aloud, where there is none.
#[cfg(all(test, feature = "cuda"))]
pub(crate) fn test_device() -> Option<Device> {
    let device = match std::env::var("SOLACE_TEST_DEVICE") {
        Ok(name) => name.parse::<DeviceChoice>().unwrap().open().unwrap(),
        Err(_) => DeviceChoice::Auto.open().unwrap(),
    };
    if !device.is_cuda() {
        println!("skipped: no CUDA device");
    }
    device.is_cuda().then_some(device)
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
