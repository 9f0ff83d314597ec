//! placeholder until the window lands on this branch
pub fn run(_path: Option<std::path::PathBuf>) -> crate::Result<()> { Err(crate::Error::invalid("no window yet")) }
