//! Finds personal data in a text.
//!
//! No pattern is ever tried anew from within itself: each place of the text is looked at by a few readers, none of which
//! reads further than a number or an address can be long. So the time is linear in the length of the text, whatever it is.
//!
//! What counts: e-mail addresses `local@domain.tld`; telephone numbers with `+` (ITU-T E.164: at most 15 digits) or of the
//! North American plan (area and exchange begin with 2 to 9); social security numbers of the United States but for those that
//! are never given out (area 000, 666, 9xx; group 00; serial 0000); 13 to 19 digits that begin as payment cards do (2 to 6)
//! and whose check digit is right (ISO/IEC 7812-1, Luhn); IPv4 and IPv6 addresses.

use super::Actions;
use alphagate_contract::policy::PiiKind;
use std::{net::Ipv6Addr, ops::Range};

/// Longest local part of an address, characters (RFC 5321, 4.5.3.1.1).
const LOCAL_MAX_CHARS: usize = 64;
/// Longest domain, bytes (RFC 5321, 4.5.3.1.2).
const DOMAIN_MAX_BYTES: usize = 255;
/// Letters beyond ASCII that stand in names of people and domains: Latin ones, up to here.
const LATIN_END: char = '\u{250}';
/// Digits of payment cards.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Digits of a telephone number with its country's code.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// Longest IPv6 address as text (RFC 4291, 2.2, with an IPv4 address at its end).
const IPV6_MAX_BYTES: usize = 45;

/// Where something of the kinds stands that are acted on: in order, without overlap.
pub(super) fn find(text: &str, actions: &Actions) -> Vec<(Range<usize>, PiiKind)> {
    let is_wanted = |kind: PiiKind| actions.contains_key(&kind);
    let emails = if is_wanted(PiiKind::Email) { emails(text) } else { Vec::new() };
    let mut found = Vec::with_capacity(emails.len());
    let mut emails = emails.into_iter().peekable();
    let bytes = text.as_bytes();
    let (mut at, mut last_end) = (0, 0);
    while at < bytes.len() {
        if let Some(email) = emails.next_if(|email| email.start <= at) {
            at = email.end;
            last_end = at;
            found.push((email, PiiKind::Email));
            continue;
        }
        let next_email = emails.peek().map_or(bytes.len(), |email| email.start);
        let reader = Reader { text, bytes: bytes.get(..next_email).unwrap_or_default() };
        match reader.starts(at, last_end).then(|| reader.read(at, &is_wanted)).flatten() {
            Some((end, kind)) => {
                found.push((at..end, kind));
                at = end;
                last_end = end;
            }
            None => at += 1,
        }
    }
    found
}

fn emails(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.match_indices('@') {
        let from = found.last().map_or(0, |last| last.end);
        let (Some(start), Some(end)) = (local_start(text, from, at), domain_end(text, at + 1)) else {
            continue;
        };
        found.push(start..end);
    }
    found
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || (!c.is_ascii() && c < LATIN_END && c.is_alphabetic())
}

/// Where the local part begins that ends at `at`.
fn local_start(text: &str, from: usize, at: usize) -> Option<usize> {
    let is_local = |c: &char| is_letter(*c) || c.is_ascii_digit() || "._%+-'".contains(*c);
    let before = text.get(from..at)?;
    let length: usize =
        before.chars().rev().take(LOCAL_MAX_CHARS).take_while(is_local).map(char::len_utf8).sum();
    let local = before.get(before.len() - length..)?;
    // Quotes and dots before it are the sentence's.
    let local = local.trim_start_matches(['\'', '.', '-']);
    (!local.is_empty() && !local.ends_with('.')).then_some(at - local.len())
}

/// Where the domain ends that begins at `at`: behind the last of its labels that can be a top-level domain.
fn domain_end(text: &str, at: usize) -> Option<usize> {
    let is_domain = |c: &char| is_letter(*c) || c.is_ascii_digit() || matches!(c, '.' | '-');
    let (mut end, mut here) = (None, at);
    // Of the label that is read: its place, whether it is letters so far, and how many characters it has.
    let (mut label, mut is_letters, mut length) = (0, true, 0);
    for c in text.get(at..)?.chars().take_while(is_domain) {
        here += c.len_utf8();
        if here - at > DOMAIN_MAX_BYTES || (c == '.' && length == 0) {
            break;
        }
        if c == '.' {
            (label, is_letters, length) = (label + 1, true, 0);
            continue;
        }
        length += 1;
        is_letters &= is_letter(c);
        if label > 0 && is_letters && length > 1 {
            end = Some(here);
        }
    }
    end
}

/// Reads numbers and addresses that begin at a place.
#[derive(Clone, Copy)]
struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn byte(self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn is_word(self, at: usize) -> bool {
        let byte = self.byte(at);
        byte.is_ascii_alphanumeric() || byte == b'_'
    }

    fn digit(self, at: usize) -> Option<u8> {
        Some(self.byte(at)).filter(u8::is_ascii_digit).map(|byte| byte - b'0')
    }

    /// Whether a number or an address can begin here: not within a word, nor behind the point or dash of a number.
    fn starts(self, at: usize, last_end: usize) -> bool {
        let byte = self.byte(at);
        if !(byte.is_ascii_hexdigit() || matches!(byte, b'+' | b'(' | b':')) {
            return false;
        }
        let Some(before) = at.checked_sub(1).filter(|_| at != last_end) else { return true };
        if matches!(byte, b'+' | b'(') {
            return true;
        }
        let continues =
            matches!(self.byte(before), b'-' | b'.') && before > last_end && self.digit(before - 1).is_some();
        !self.is_word(before) && !continues
    }

    /// What begins here, and where it ends.
    fn read(self, at: usize, is_wanted: &impl Fn(PiiKind) -> bool) -> Option<(usize, PiiKind)> {
        type Read<'a> = fn(Reader<'a>, usize) -> Option<usize>;
        let readers: [(PiiKind, Read<'_>); 5] = [
            (PiiKind::PaymentCard, Reader::card),
            (PiiKind::UsSsn, Reader::ssn),
            (PiiKind::Phone, Reader::phone),
            (PiiKind::IpAddress, Reader::ipv4),
            (PiiKind::IpAddress, Reader::ipv6),
        ];
        let mut wanted = readers.into_iter().filter(|(kind, _)| is_wanted(*kind));
        wanted.find_map(|(kind, read)| Some((read(self, at)?, kind)))
    }

    /// So many digits; where they end.
    fn digits(self, at: usize, number: usize) -> Option<usize> {
        (at..at + number).all(|at| self.digit(at).is_some()).then_some(at + number)
    }

    /// Behind one of these, if one is there.
    fn maybe(self, at: usize, separators: &[u8]) -> usize {
        if separators.contains(&self.byte(at)) { at + 1 } else { at }
    }

    fn ends(self, at: usize) -> Option<usize> {
        let goes_on = self.byte(at) == b'-' && self.digit(at + 1).is_some();
        (!self.is_word(at) && !goes_on).then_some(at)
    }

    /// The most groups of digits, the same separator between them, that are a payment card.
    fn card(self, at: usize) -> Option<usize> {
        if !(2..=6).contains(&self.digit(at)?) {
            return None;
        }
        let (mut digits, mut here, mut end) = (Vec::with_capacity(*CARD_DIGITS.end()), at, None);
        let mut separator = None;
        while let Some(digit) = self.digit(here).filter(|_| digits.len() < *CARD_DIGITS.end()) {
            digits.push(digit);
            here += 1;
            let is_over = self.digit(here).is_none();
            if is_over && CARD_DIGITS.contains(&digits.len()) && luhn(&digits) && !self.is_word(here) {
                end = Some(here);
            }
            let byte = self.byte(here);
            if is_over && matches!(byte, b' ' | b'-') && *separator.get_or_insert(byte) == byte {
                here += 1;
            }
        }
        end
    }

    fn ssn(self, at: usize) -> Option<usize> {
        let area_end = self.digits(at, 3)?;
        let separator = self.byte(area_end);
        let group_end = self.digits(area_end + 1, 2)?;
        let end = self.digits(group_end + 1, 4)?;
        let (area, group, serial) = (
            self.bytes.get(at..area_end)?,
            self.bytes.get(area_end + 1..group_end)?,
            self.bytes.get(group_end + 1..end)?,
        );
        let given_out = area != b"000"
            && area != b"666"
            && area.first() != Some(&b'9')
            && group != b"00"
            && serial != b"0000";
        let separated = matches!(separator, b'-' | b' ') && self.byte(group_end) == separator;
        self.ends(end).filter(|_| separated && given_out)
    }

    fn phone(self, at: usize) -> Option<usize> {
        match self.byte(at) {
            b'+' => self.international(at + 1),
            b'1' => self.north_american(self.maybe(at + 1, b" -.")),
            _ => self.north_american(at),
        }
    }

    /// `415-555-0132`, `(415) 555-0132`, `415.555.0132`, `4155550132`.
    fn north_american(self, at: usize) -> Option<usize> {
        let part = |at: usize, number: usize| {
            self.digit(at).filter(|digit| *digit >= 2).and_then(|_| self.digits(at, number))
        };
        let opened = self.byte(at) == b'(';
        let mut here = part(at + usize::from(opened), 3)?;
        if opened {
            here = Some(here).filter(|here| self.byte(*here) == b')')? + 1;
        }
        let here = part(self.maybe(here, b" -."), 3)?;
        let end = self.digits(self.maybe(here, b" -."), 4)?;
        self.ends(end)
    }

    fn international(self, at: usize) -> Option<usize> {
        self.digit(at).filter(|digit| *digit > 0)?;
        if self.digit(at) == Some(1)
            && let Some(end) = self.north_american(self.maybe(at + 1, b" -."))
        {
            return Some(end);
        }
        let (mut digits, mut here, mut end) = (0, at, None);
        while self.digit(here).is_some() && digits < *PHONE_DIGITS.end() {
            digits += 1;
            here += 1;
            if self.digit(here).is_some() {
                continue;
            }
            if PHONE_DIGITS.contains(&digits) && !self.is_word(here) {
                end = Some(here);
            }
            // ` (0) `: two of them at most.
            here = self.maybe(self.maybe(here, b" -.()/"), b" ()");
        }
        end
    }

    fn ipv4(self, at: usize) -> Option<usize> {
        let mut here = at;
        for octet in 0..4 {
            here = if octet == 0 { here } else { Some(here).filter(|here| self.byte(*here) == b'.')? + 1 };
            let length = (here..here + 3).take_while(|at| self.digit(*at).is_some()).count();
            let number: u16 = self.text.get(here..here + length)?.parse().ok()?;
            let is_octet = number <= 255 && (length == 1 || self.digit(here) != Some(0));
            here = Some(here + length).filter(|_| is_octet)?;
        }
        let goes_on = self.byte(here) == b'.' && self.digit(here + 1).is_some();
        self.ends(here).filter(|_| !goes_on)
    }

    fn ipv6(self, at: usize) -> Option<usize> {
        let is_part = |byte: &&u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        let rest = self.bytes.get(at..)?;
        let length = rest.iter().take(IPV6_MAX_BYTES + 1).take_while(is_part).count();
        let run = self.text.get(at..at + length).filter(|_| length <= IPV6_MAX_BYTES)?;
        // A sentence ends in a point or colon.
        let trimmed = run.trim_end_matches('.');
        let trimmed = trimmed.strip_suffix(':').filter(|rest| !rest.ends_with(':')).unwrap_or(trimmed);
        // `a::b` is a path in some languages.
        let has_digit = trimmed.bytes().any(|byte| byte.is_ascii_digit());
        trimmed.parse::<Ipv6Addr>().ok().filter(|_| has_digit)?;
        Some(at + trimmed.len()).filter(|end| !self.is_word(*end))
    }
}

/// Whether the last digit is the check digit of those before it.
fn luhn(digits: &[u8]) -> bool {
    let weighed = digits.iter().rev().enumerate().map(|(place, digit)| match (place % 2, digit * 2) {
        (0, _) => u32::from(*digit),
        (_, double) => u32::from(if double > 9 { double - 9 } else { double }),
    });
    weighed.sum::<u32>().is_multiple_of(10)
}
