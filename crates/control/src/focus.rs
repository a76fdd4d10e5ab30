//! Asking the focus, with an end to the waiting.

use std::{future::Future, time::Duration};

use cau_conference::Error;

use crate::Problem;

/// The focus answers within microseconds, a preview within a second; longer means that it stands still.
const PATIENCE: Duration = Duration::from_secs(5);

/// The answer of the focus, or a problem in words.
pub(crate) async fn ask<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, Problem> {
    patient(asked).await?.map_err(Problem::from)
}

/// What is waited for, or that it takes too long.
pub(crate) async fn patient<T>(asked: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(PATIENCE, asked).await.map_err(|_| {
        Problem::unavailable(
            "Bộ điều khiển phiên họp không trả lời.",
            "The conference control does not answer.",
        )
    })
}

impl From<Error> for Problem {
    fn from(e: Error) -> Self {
        match e {
            Error::Refused(refusal) => refusal.into(),
            Error::Unavailable(words) => Self::unavailable(words.vi, words.en),
        }
    }
}
