//! `alphagate-runner`: takes jobs from control and runs each in a sandbox of its own.

fn main() {}
