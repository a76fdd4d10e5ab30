//! Seeded loss, jitter, reordering and rate, for virtual-clock tests, the relay and the load driver.
