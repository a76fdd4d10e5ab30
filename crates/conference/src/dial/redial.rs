//! When a lost site is called again.

use std::time::Duration;

use cau_sip::EndCause;

use super::Dial;

/// Which sites are called again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// Those whose line was lost; not who hung up.
    #[default]
    Lost,
    /// Those who hung up as well; for devices nobody operates.
    Always,
    /// Nobody.
    Never,
}

impl When {
    /// Whether a call that ended so is made again.
    pub(crate) fn wants(self, cause: &EndCause) -> bool {
        let lost = matches!(
            cause,
            EndCause::NoResponse | EndCause::TransportFailed | EndCause::Forgotten | EndCause::NoAck
        );
        match self {
            When::Lost => lost,
            When::Always => lost || matches!(cause, EndCause::RemoteHangUp { .. }),
            When::Never => false,
        }
    }
}

impl Dial {
    /// How long to wait before try number `round`, from 0.
    pub(crate) fn wait(&self, round: usize) -> Duration {
        let last = self.redial_after.last().copied().unwrap_or(Duration::from_secs(30));
        self.redial_after.get(round).copied().unwrap_or(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_once_then_less_and_less_often_then_every_thirty_seconds() {
        let dial = Dial::default();
        let waits: Vec<u64> = (0..9).map(|round| dial.wait(round).as_secs()).collect();
        assert_eq!(waits, [0, 2, 5, 10, 20, 30, 30, 30, 30]);
        assert_eq!(Dial { redial_after: Vec::new(), ..dial }.wait(3).as_secs(), 30);
    }

    #[test]
    fn who_hung_up_is_left_alone_unless_it_is_wanted() {
        let hung_up = EndCause::RemoteHangUp { reason: None };
        assert!(When::Lost.wants(&EndCause::NoResponse) && !When::Lost.wants(&hung_up));
        assert!(When::Always.wants(&hung_up) && !When::Always.wants(&EndCause::LocalHangUp));
        assert!(!When::Never.wants(&EndCause::TransportFailed));
    }
}
