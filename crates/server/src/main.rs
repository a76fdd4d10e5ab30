//! The binary `cau`.
fn main() {}
