//! Simulated endpoints with real media, measurement and report.
