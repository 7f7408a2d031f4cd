//! One test binary, a module per subject.

mod loss_gradients;
mod loss_properties;
mod loss_settings;
mod losses_golden;
mod pair_file_problems;
mod pair_files;
