//! Asking for key frames until one comes, and answering those who ask, neither too often.

mod requester;
mod responder;

pub use requester::{Ask, Feedback, Requester};
pub use responder::{Heard, Responder};
