//! A thin wrapper for ONNX Runtime's C interface: every handle is released once, every status is a `Result`.

pub mod api;
pub mod binding;
mod cancellation;
pub mod library;
pub mod memory_info;
pub mod run_options;
pub mod session;
pub mod session_options;
pub mod status;
pub mod value;

pub use api::Api;
pub use binding::Binding;
pub use cancellation::Cancellation;
pub use library::Library;
pub use memory_info::MemoryInfo;
pub use run_options::RunOptions;
pub use session::Session;
pub use session_options::{Provider, SessionOptions};
pub use status::{Error, Result};
pub use value::{Element, Value};
