//! The formula of a `multi` grader: `(a + 2 * b) / 3`, `min(a, b)`, `a ^ 2`.
//!
//! Numbers, the names of the graders, `+ - * / ^` with their usual precedence, and [`Function`]s. Bounded in length and
//! depth, no loops, no assignments: its cost is that of reading it. What is not a finite number is an error.

use std::{collections::BTreeSet, fmt, iter::Peekable, vec};

/// Longest formula, bytes: two hundred terms.
pub const FORMULA_MAX_BYTES: usize = 4_096;
/// Deepest nesting; a formula of people has three levels.
const DEPTH_MAX: usize = 32;

/// A formula, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Formula {
    root: Node,
}

/// Why a formula cannot be read or computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormulaError {
    /// It has more than [`FORMULA_MAX_BYTES`].
    #[error("a formula has at most {FORMULA_MAX_BYTES} bytes")]
    TooLong,
    /// It nests too deeply.
    #[error("a formula nests at most {DEPTH_MAX} levels")]
    TooDeep,
    /// It cannot be read.
    #[error("{0} cannot stand here")]
    Unexpected(String),
    /// It stops too early.
    #[error("the formula is not complete")]
    Incomplete,
    /// It calls what does not exist.
    #[error("there is no function `{0}`; there are min, max, abs, floor, ceil, exp, sqrt and log")]
    NoFunction(String),
    /// It calls a function with the wrong number of arguments.
    #[error("`{0}` does not take {1} arguments")]
    Arguments(&'static str, usize),
    /// It names what is not there.
    #[error("there is no score `{0}`")]
    NoScore(String),
    /// Its result is not a finite number.
    #[error("the result is not a finite number")]
    NotFinite,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Number(f64),
    Name(String),
    Negative(Box<Self>),
    Binary(char, Box<[Self; 2]>),
    Call(Function, Vec<Self>),
}

/// What a formula may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Min,
    Max,
    Abs,
    Floor,
    Ceil,
    Exp,
    Sqrt,
    Log,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Name(String),
    Sign(char),
}

impl Formula {
    /// Reads a formula.
    pub fn parse(text: &str) -> Result<Self, FormulaError> {
        if text.len() > FORMULA_MAX_BYTES {
            return Err(FormulaError::TooLong);
        }
        let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), depth: 0 };
        let root = parser.sum()?;
        match parser.tokens.next() {
            Some(token) => Err(FormulaError::Unexpected(token.to_string())),
            None => Ok(Self { root }),
        }
    }

    /// The names that it uses.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.root.collect_names(&mut names);
        names
    }

    /// Its result, with a score for every name.
    pub fn compute(&self, score: &dyn Fn(&str) -> Option<f64>) -> Result<f64, FormulaError> {
        let result = self.root.compute(score)?;
        if result.is_finite() { Ok(result) } else { Err(FormulaError::NotFinite) }
    }
}

impl Node {
    fn collect_names<'a>(&'a self, names: &mut BTreeSet<&'a str>) {
        match self {
            Self::Number(_) => {}
            Self::Name(name) => {
                names.insert(name);
            }
            Self::Negative(node) => node.collect_names(names),
            Self::Binary(_, nodes) => nodes.iter().for_each(|node| node.collect_names(names)),
            Self::Call(_, nodes) => nodes.iter().for_each(|node| node.collect_names(names)),
        }
    }

    fn compute(&self, score: &dyn Fn(&str) -> Option<f64>) -> Result<f64, FormulaError> {
        Ok(match self {
            Self::Number(number) => *number,
            Self::Name(name) => score(name).ok_or_else(|| FormulaError::NoScore(name.clone()))?,
            Self::Negative(node) => -node.compute(score)?,
            Self::Binary(sign, nodes) => {
                let [left, right] = &**nodes;
                let (left, right) = (left.compute(score)?, right.compute(score)?);
                match sign {
                    '+' => left + right,
                    '-' => left - right,
                    '*' => left * right,
                    '/' => left / right,
                    _ => left.powf(right),
                }
            }
            Self::Call(function, nodes) => {
                let arguments: Vec<f64> =
                    nodes.iter().map(|node| node.compute(score)).collect::<Result<_, _>>()?;
                function.call(&arguments)
            }
        })
    }
}

impl Function {
    const ALL: [(&'static str, Self); 8] = [
        ("min", Self::Min),
        ("max", Self::Max),
        ("abs", Self::Abs),
        ("floor", Self::Floor),
        ("ceil", Self::Ceil),
        ("exp", Self::Exp),
        ("sqrt", Self::Sqrt),
        ("log", Self::Log),
    ];

    fn call(self, arguments: &[f64]) -> f64 {
        // `f64::min` forgets a NaN; a score that is none must not.
        let fold = |pick: fn(f64, f64) -> f64| {
            let either = |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { pick(a, b) };
            arguments.iter().copied().reduce(either).unwrap_or(f64::NAN)
        };
        let first = arguments.first().copied().unwrap_or(f64::NAN);
        match self {
            Self::Min => fold(f64::min),
            Self::Max => fold(f64::max),
            Self::Abs => first.abs(),
            Self::Floor => first.floor(),
            Self::Ceil => first.ceil(),
            Self::Exp => first.exp(),
            Self::Sqrt => first.sqrt(),
            Self::Log => first.ln(),
        }
    }

    const fn takes(self, arguments: usize) -> bool {
        match self {
            Self::Min | Self::Max => arguments >= 1,
            _ => arguments == 1,
        }
    }
}

struct Parser {
    tokens: Peekable<vec::IntoIter<Token>>,
    depth: usize,
}

impl Parser {
    fn sum(&mut self) -> Result<Node, FormulaError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(FormulaError::TooDeep);
        }
        let mut node = self.product()?;
        while let Some(sign) = self.take_sign(&['+', '-']) {
            node = Node::Binary(sign, Box::new([node, self.product()?]));
        }
        self.depth -= 1;
        Ok(node)
    }

    fn product(&mut self) -> Result<Node, FormulaError> {
        let mut node = self.signed()?;
        while let Some(sign) = self.take_sign(&['*', '/']) {
            node = Node::Binary(sign, Box::new([node, self.signed()?]));
        }
        Ok(node)
    }

    /// `-a ^ b` is `-(a ^ b)`, and `a ^ -b` is allowed: as in mathematics, and in Python.
    fn signed(&mut self) -> Result<Node, FormulaError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(FormulaError::TooDeep);
        }
        let node = if self.take_sign(&['-']).is_some() {
            Node::Negative(Box::new(self.signed()?))
        } else {
            let base = self.atom()?;
            match self.take_sign(&['^']) {
                Some(sign) => Node::Binary(sign, Box::new([base, self.signed()?])),
                None => base,
            }
        };
        self.depth -= 1;
        Ok(node)
    }

    fn atom(&mut self) -> Result<Node, FormulaError> {
        match self.tokens.next().ok_or(FormulaError::Incomplete)? {
            Token::Number(number) => Ok(Node::Number(number)),
            Token::Name(name) if self.take_sign(&['(']).is_some() => self.call(&name),
            Token::Name(name) => Ok(Node::Name(name)),
            Token::Sign('(') => {
                let node = self.sum()?;
                self.expect(')')?;
                Ok(node)
            }
            token @ Token::Sign(_) => Err(FormulaError::Unexpected(token.to_string())),
        }
    }

    fn call(&mut self, name: &str) -> Result<Node, FormulaError> {
        let found = Function::ALL.into_iter().find(|(word, _)| *word == name);
        let (word, function) = found.ok_or_else(|| FormulaError::NoFunction(name.to_owned()))?;
        let mut arguments = vec![self.sum()?];
        while self.take_sign(&[',']).is_some() {
            arguments.push(self.sum()?);
        }
        self.expect(')')?;
        if !function.takes(arguments.len()) {
            return Err(FormulaError::Arguments(word, arguments.len()));
        }
        Ok(Node::Call(function, arguments))
    }

    fn take_sign(&mut self, signs: &[char]) -> Option<char> {
        let next = self.tokens.next_if(|token| matches!(token, Token::Sign(sign) if signs.contains(sign)))?;
        if let Token::Sign(sign) = next { Some(sign) } else { None }
    }

    fn expect(&mut self, sign: char) -> Result<(), FormulaError> {
        match self.tokens.next().ok_or(FormulaError::Incomplete)? {
            Token::Sign(found) if found == sign => Ok(()),
            token => Err(FormulaError::Unexpected(token.to_string())),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, FormulaError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '*' if rest.starts_with("**") => (Token::Sign('^'), 2),
            '+' | '-' | '*' | '/' | '^' | '(' | ')' | ',' => (Token::Sign(first), 1),
            '0'..='9' | '.' => number(rest)?,
            c if c.is_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                (Token::Name(rest.get(..end).unwrap_or_default().to_owned()), end)
            }
            other => return Err(FormulaError::Unexpected(format!("`{other}`"))),
        };
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

/// A number at the start of a text, and its length: `1`, `.5`, `1.`, `2e-3`.
fn number(text: &str) -> Result<(Token, usize), FormulaError> {
    let plain = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        from + rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len())
    };
    let mut end = plain(0);
    let exponent = text.get(end..).unwrap_or_default();
    if let Some(power) = exponent.strip_prefix(['e', 'E']) {
        let signed = usize::from(power.starts_with(['+', '-']));
        if power.get(signed..).is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit())) {
            end = plain(end + 1 + signed);
        }
    }
    let word = text.get(..end).unwrap_or_default();
    let value = word.parse().map_err(|_| FormulaError::Unexpected(format!("`{word}`")))?;
    Ok((Token::Number(value), end))
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "`{number}`"),
            Self::Name(name) => write!(f, "`{name}`"),
            Self::Sign(sign) => write!(f, "`{sign}`"),
        }
    }
}
