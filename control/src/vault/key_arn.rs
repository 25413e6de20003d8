//! How a master key of AWS's key management service is named.

use std::{fmt, str::FromStr};

/// The name of a key: `arn:aws:kms:<region>:<account>:key/<id>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyArn {
    text: String,
    partition: String,
    region: String,
}

impl FromStr for KeyArn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            ["arn", partition, "kms", region, account, key]
                if key.strip_prefix("key/").is_some_and(|id| !id.is_empty())
                    && ![partition, region, account].iter().any(|part| part.is_empty()) =>
            {
                let (partition, region) = ((*partition).to_owned(), (*region).to_owned());
                Ok(Self { text: text.to_owned(), partition, region })
            }
            _ => Err("not the ARN of a key: expected `arn:aws:kms:<region>:<account>:key/<id>`".to_owned()),
        }
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl KeyArn {
    /// The name itself.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Where the key is.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// Where the service of the key's region is.
    pub(super) fn endpoint(&self) -> String {
        let suffix = if self.partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://kms.{}.{suffix}/", self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_its_arn_and_nothing_else() {
        let key: KeyArn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd".parse().unwrap();
        assert_eq!(key.endpoint(), "https://kms.eu-central-1.amazonaws.com/");
        let key: KeyArn = "arn:aws-cn:kms:cn-north-1:1:key/mrk-1".parse().unwrap();
        assert_eq!(key.endpoint(), "https://kms.cn-north-1.amazonaws.com.cn/");
        for other in [
            "1234abcd",
            "alias/main",
            "arn:aws:kms:eu-central-1:111122223333:alias/main",
            "arn:aws:kms::111122223333:key/1",
            "arn:aws:kms:eu-central-1:111122223333:key/",
            "arn:aws:s3:::bucket",
        ] {
            assert!(other.parse::<KeyArn>().is_err(), "{other}");
        }
    }
}
