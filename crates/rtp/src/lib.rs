//! Sans-IO RTP and RTCP: sequence, jitter buffer, payload formats, key-frame requests, statistics.
