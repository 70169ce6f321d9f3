//! What can be wrong in a registry, with file, line and column.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// One mistake in a registry file.
#[derive(Debug)]
pub struct RegistryError {
    pub file: PathBuf,
    /// From 1; 0 when the file as a whole is meant.
    pub line: u64,
    /// The name of the column, when one cell is meant.
    pub column: Option<String>,
    pub reason: RegistryReason,
}

#[derive(Debug, thiserror::Error)]
pub enum RegistryReason {
    #[error("cannot be read")]
    Read(#[source] std::io::Error),
    #[error("is larger than {0} bytes")]
    TooLarge(u64),
    #[error("is not a CSV line")]
    Csv(#[source] csv::Error),
    #[error("the first line must name a column `device`")]
    NoDeviceColumn,
    #[error("the {0}. column has no name")]
    UnnamedColumn(usize),
    #[error("the column `{0}` is named twice")]
    RepeatedColumn(String),
    #[error("has {found} cells; the first line names {expected}")]
    CellCount { found: usize, expected: usize },
    #[error("is empty: which device is meant?")]
    NoDevice,
    #[error("`{text}` is not a glob")]
    Glob {
        text: String,
        #[source]
        source: globset::Error,
    },
    #[error("`{0}` is not a finite number")]
    Number(String),
    #[error("`{name}` is not a known conversion{}", suggest(*.nearest))]
    Conversion {
        name: String,
        nearest: Option<&'static str>,
    },
    #[error("a scale of 0 would make every value the same")]
    ZeroScale,
    #[error("stands beside `convert`: give either a conversion or a scale and an offset")]
    TwoConversions,
    #[error("needs a `metric`; `*` means every metric of the device")]
    ConversionWithoutMetric,
    #[error("the same device and metric stand in line {0}")]
    Repeated(u64),
    #[error("holds U+0000, which no database stores")]
    Nul,
}

fn suggest(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; is it `{name}`?"))
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.file.display())?;
        if self.line > 0 {
            write!(f, ", line {}", self.line)?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column `{column}`")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl Error for RegistryError {
    /// The reason is part of the text already; what lies behind it is not.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.reason.source()
    }
}
