//! Conferences, the registry of rooms and the calls in them; sans-IO.
