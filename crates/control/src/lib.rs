//! HTTP API, events, sign-in and the operator's console.
