//! The files of a configuration, as they were read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use haproxy_config::{Document, Section};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of those that HAProxy is given by `-f`.
    Haproxy,
    /// One that a SPOE filter names.
    Spoe,
}

/// A file that was read.
#[derive(Debug)]
pub(crate) struct File {
    /// As it was named, or found.
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) document: Document,
}

/// A SPOE file that a filter names and that could not be read.
#[derive(Debug)]
pub(crate) struct Unread {
    /// As the filter has it.
    pub(crate) named: Vec<u8>,
    /// The paths that were tried, and why each could not be read.
    pub(crate) tried: Vec<(PathBuf, io::Error)>,
}

/// All files: first HAProxy's in their order, then those of SPOE filters.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) files: Vec<File>,
    /// For each `config` word of a filter (its text) the file that it means.
    pub(crate) named: Vec<(Vec<u8>, usize)>,
    pub(crate) unread: Vec<Unread>,
    /// What variables stand for, so that it can be covered where it would be shown.
    pub(crate) values: Values,
}

/// Values of variables by their names. They may be secret.
#[derive(Default)]
pub(crate) struct Values(pub(crate) BTreeMap<String, Vec<u8>>);

impl fmt::Debug for Values {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

impl Files {
    /// The file of an index.
    pub(crate) fn path(&self, file: usize) -> &Path {
        self.files.get(file).map_or(Path::new(""), |file| &file.path)
    }

    /// The documents of a kind, with their indexes.
    pub(crate) fn documents(&self, kind: Kind) -> impl Iterator<Item = (usize, &Document)> {
        let files = self.files.iter().enumerate();
        files
            .filter(move |(_, file)| file.kind == kind)
            .map(|(index, file)| (index, &file.document))
    }

    /// The sections of a kind of file that HAProxy takes or may take, with the indexes of their files.
    pub(crate) fn sections(&self, kind: Kind) -> impl Iterator<Item = (usize, &Section)> {
        self.documents(kind).flat_map(|(file, document)| {
            document.sections.iter().map(move |section| (file, section))
        })
    }

    /// The file that a filter means by this, if it was read.
    pub(crate) fn spoe(&self, named: &[u8]) -> Option<usize> {
        self.named.iter().find(|(name, _)| name == named).map(|(_, file)| *file)
    }
}
