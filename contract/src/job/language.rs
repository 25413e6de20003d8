//! The languages that a sandbox can run: one row each.
//!
//! A new language is a row here and an interpreter in an image.

use serde::{Deserialize, Serialize};

macro_rules! languages {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $main:literal, [$($extension:literal),*], [$($program:literal),*], $argv:expr;)*) => {
        /// What runs a file.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub enum Language { $($(#[$doc])* $name,)* }

        impl Language {
            /// Every language, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The language's word in the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The name of the file when only a source is given.
            #[must_use]
            pub const fn main_file(self) -> &'static str {
                match self { $(Self::$name => $main,)* }
            }

            /// Extensions of its files.
            #[must_use]
            pub const fn extensions(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($extension),*],)* }
            }

            /// Names of its interpreter in a shebang, without trailing version digits.
            #[must_use]
            pub const fn programs(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($program),*],)* }
            }

            /// The command before the entry's path; the program is looked up in the image's `PATH`.
            #[must_use]
            pub const fn command(self) -> &'static [&'static str] {
                match self { $(Self::$name => $argv,)* }
            }
        }
    };
}

languages! {
    /// CPython 3. `-u`: output comes as it is written; `-B`: no byte code beside the sources.
    Python = "python", "main.py", ["py"], ["python", "pypy"], &["python3", "-u", "-B"];
    /// Node.js.
    Javascript = "javascript", "main.js", ["js", "mjs", "cjs"], ["node", "nodejs"], &["node"];
    /// Bash.
    Bash = "bash", "main.sh", ["sh", "bash"], ["sh", "bash", "dash"], &["bash"];
}

impl Language {
    /// The language of a file, from its shebang, else from its name.
    #[must_use]
    pub fn detect(path: &str, content: &[u8]) -> Option<Self> {
        Self::of_shebang(content).or_else(|| Self::of_name(path))
    }

    fn of_name(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
        let extension = extension.to_ascii_lowercase();
        Self::ALL.iter().copied().find(|language| language.extensions().contains(&extension.as_str()))
    }

    fn of_shebang(content: &[u8]) -> Option<Self> {
        let line = content.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
        let line = std::str::from_utf8(line).ok()?;
        let mut words = line.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
        let mut program = words.next()?;
        if program == "env" {
            program = words.find(|word| !word.starts_with('-'))?;
        }
        let program = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        Self::ALL.iter().copied().find(|language| language.programs().contains(&program))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_its_shebang_or_its_name() {
        let cases: [(&str, &str, Option<Language>); 11] = [
            ("a.py", "", Some(Language::Python)),
            ("deep/a.MJS", "", Some(Language::Javascript)),
            ("run.sh", "echo", Some(Language::Bash)),
            ("run", "#!/usr/bin/env -S python3.11 -u\n", Some(Language::Python)),
            ("run", "#!/bin/bash -e\n", Some(Language::Bash)),
            ("run.py", "#!/usr/bin/node\n", Some(Language::Javascript)),
            ("run.py", "#!/usr/bin/perl\n", Some(Language::Python)),
            ("run", "#!\n", None),
            ("run", "#!/usr/bin/env\n", None),
            ("py", "", None),
            ("a.rs", "fn main() {}", None),
        ];
        for (path, content, language) in cases {
            assert_eq!(Language::detect(path, content.as_bytes()), language, "{path} {content}");
        }
    }

    #[test]
    fn words_are_what_serde_writes() {
        for language in Language::ALL {
            assert_eq!(serde_json::to_value(language).unwrap(), language.as_str());
        }
    }
}
