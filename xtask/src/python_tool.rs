//! Programs in Python that tests run, each in an environment of its own below target: what one needs must not decide which
//! versions another one, or the SDKs under test, get.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use alphagate_bed::places;
use anyhow::{Context, Result};

use crate::run;

/// Says what was installed, so that a second run does nothing.
const STAMP: &str = "installed.txt";

/// A program, and the packages that bring it.
pub(crate) struct PythonTool {
    folder: &'static str,
    program: &'static str,
    packages: &'static [&'static str],
}

/// It asks control whatever the OpenAPI document allows, and what it forbids. The version is that under which the test's
/// options were written.
pub(crate) const SCHEMATHESIS: PythonTool =
    PythonTool { folder: "schemathesis", program: "schemathesis", packages: &["schemathesis==4.32.5"] };

/// It stands in for AWS's key management service. Of what its server can bring along, the web framework alone is needed.
pub(crate) const MOTO: PythonTool = PythonTool {
    folder: "moto",
    program: "moto_server",
    packages: &["moto==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"],
};

impl PythonTool {
    /// The program, installed if it is not there.
    pub(crate) fn prepare(&self) -> Result<PathBuf> {
        let home = places::workspace()?.join("target").join(self.folder);
        let (stamp, program) = (home.join(STAMP), home.join("bin").join(self.program));
        let wanted = self.packages.join(" ");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(program);
        }
        run::quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))
            .context("python3 with its venv module is needed (Debian: apt install python3-venv)")?;
        let mut pip = Command::new(home.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(self.packages);
        run::quietly(&mut pip)?;
        fs::write(stamp, wanted)?;
        Ok(program)
    }
}
