//! One test binary, a module per subject.

mod loss_gradients;
mod loss_properties;
mod loss_settings;
mod losses_golden;
