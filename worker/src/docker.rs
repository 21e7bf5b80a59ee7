//! The Docker Engine API, as far as attempts need it. Written against version 1.44; older daemons down to 1.41 are spoken to
//! in their own version.

mod advice;
mod archive;
mod engine;
mod frames;
mod pull;
mod request;

pub(crate) use advice::advice;
pub(crate) use archive::{ARTIFACTS, XCOM_FILE, folder_to_put, unpack, unpack_file};
pub(crate) use engine::{ContainerEnd, Engine, EngineError};
#[cfg(test)]
pub(crate) use frames::frame;
pub(crate) use frames::{FrameSplitter, Frames};
pub(crate) use pull::{PullProgress, Reference};
pub(crate) use request::{Identity, body};
