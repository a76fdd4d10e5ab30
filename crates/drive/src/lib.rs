//! Clock, sockets, timers and threads: runs the sans-IO cores.
