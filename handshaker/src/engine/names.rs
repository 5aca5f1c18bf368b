//! What several messages hold: names of protocols, RPC versions, lists of numbers.

use super::codec::{Reader, put_u16, put_u32, vector8, vector16};
use super::protocol::{MAX_NAME, MAX_NUMBERS};
use crate::error::Error;
use crate::session::{RpcVersion, RpcVersions};

/// Whether `name` may stand for a protocol: 1 to 64 visible ASCII characters.
pub(super) fn valid_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A protocol's name.
pub(super) fn load_name<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Error> {
    let bytes = reader.vector8()?.rest();
    match std::str::from_utf8(bytes) {
        Ok(name) if valid_name(name) => Ok(name),
        _ => Err(reader.error("has a protocol name that is not 1 to 64 visible ASCII characters")),
    }
}

pub(super) fn encode_name(out: &mut Vec<u8>, name: &str) {
    vector8(out, |out| out.extend_from_slice(name.as_bytes()));
}

/// `names<u16>: {ascii<u8>}[1..max]`, in order of preference.
pub(super) fn load_names<'a>(reader: &mut Reader<'a>, max: usize) -> Result<Vec<&'a str>, Error> {
    let names = reader.vector16()?.list(max, load_name)?;
    refuse_duplicates(&names, "protocol names")?;
    Ok(names)
}

pub(super) fn encode_names(out: &mut Vec<u8>, names: &[&str]) {
    vector16(out, |out| {
        for name in names {
            encode_name(out, name);
        }
    });
}

/// `numbers<u8>: u16[1..8]`, in order of preference.
pub(super) fn load_numbers(reader: &mut Reader<'_>, what: &str) -> Result<Vec<u16>, Error> {
    let numbers = reader.vector8()?.list(MAX_NUMBERS, Reader::u16)?;
    refuse_duplicates(&numbers, what)?;
    Ok(numbers)
}

pub(super) fn encode_numbers(out: &mut Vec<u8>, numbers: &[u16]) {
    vector8(out, |out| {
        for &number in numbers {
            put_u16(out, number);
        }
    });
}

/// Highest version first, each major before minor.
pub(super) fn load_rpc_versions(reader: &mut Reader<'_>) -> Result<RpcVersions, Error> {
    let mut version =
        || -> Result<_, Error> { Ok(RpcVersion { major: reader.u32()?, minor: reader.u32()? }) };
    Ok(RpcVersions { max: version()?, min: version()? })
}

pub(super) fn encode_rpc_versions(out: &mut Vec<u8>, versions: RpcVersions) {
    for RpcVersion { major, minor } in [versions.max, versions.min] {
        put_u32(out, major);
        put_u32(out, minor);
    }
}

/// Lists have at most 8 elements.
pub(super) fn refuse_duplicates<T: PartialEq>(list: &[T], what: &str) -> Result<(), Error> {
    let twice = |(at, element)| list[..at].contains(element);
    if list.iter().enumerate().any(twice) {
        return Err(Error::illegal(format!("an element occurs twice among the {what}")));
    }
    Ok(())
}
