//! Tests of the graders through their seam.

mod formula;
mod judge;
mod python;
mod read;
mod steps;
mod validate;
