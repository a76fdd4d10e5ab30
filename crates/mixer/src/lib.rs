//! Receive, decode or forward, compose and mix, encode once, fan out.
