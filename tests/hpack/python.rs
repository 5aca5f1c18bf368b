//! Blocks that Python's `hpack` encoded, and blocks for it to decode. `peer.py` says how the file looks.

use std::fmt::Write as _;

use alts::http2::hpack::{Decoder, encode};

use crate::{decode, from_hex};

/// A connection of the recorded corpus, block by block.
fn replay(corpus: &str) -> usize {
    let mut blocks = 0;
    let mut decoder = Decoder::new(4_096);
    let mut expected: Option<Vec<_>> = None;
    for line in corpus.lines() {
        let mut words = line.split(' ');
        match words.next().unwrap() {
            "connection" => decoder = Decoder::new(4_096),
            "limit" => decoder.set_limit(words.next().unwrap().parse().unwrap()),
            "field" => {
                let mut text = || from_hex(words.next().unwrap_or_default());
                expected.get_or_insert_default().push((text(), text()));
            }
            "block" => {
                let block = from_hex(words.next().unwrap_or_default());
                let expected = expected.take().unwrap_or_default();
                assert_eq!(decode(&mut decoder, &block).unwrap(), expected, "{line}");
                blocks += 1;
            }
            // What the other side's table takes, as the RFC counts, and how many entries it has.
            "table" => {
                let mut number = || words.next().unwrap().parse::<usize>().unwrap();
                let (size, entries) = (number(), number());
                assert_eq!(decoder.allocated(), size - entries * (32 - 4), "{line}");
            }
            other => panic!("the corpus has {other:?}"),
        }
    }
    assert!(expected.is_none());
    blocks
}

#[test]
fn what_python_encoded_is_decoded_and_the_tables_agree() {
    assert_eq!(replay(include_str!("corpus.txt")), 60);
}

/// With `ALTS_HPACK_CORPUS`, the name of a file that `peer.py encode` wrote.
#[test]
#[ignore = "run by tests/hpack/run"]
fn a_new_corpus() {
    let name = std::env::var("ALTS_HPACK_CORPUS").unwrap();
    assert!(replay(&std::fs::read_to_string(name).unwrap()) > 1_000);
}

/// With `ALTS_HPACK_BLOCKS`, the name of a file for `peer.py decode`: the fields of the corpus, encoded here.
#[test]
#[ignore = "run by tests/hpack/run"]
fn blocks_for_python() {
    let corpus = std::fs::read_to_string(std::env::var("ALTS_HPACK_CORPUS").unwrap()).unwrap();
    let (mut out, mut block) = (String::new(), Vec::new());
    for line in corpus.lines() {
        let mut words = line.split(' ');
        match words.next().unwrap() {
            "field" => {
                let mut text = || from_hex(words.next().unwrap_or_default());
                let (name, value) = (text(), text());
                match &name[..] {
                    b":status" => {
                        encode::status(
                            &mut block,
                            str::from_utf8(&value).unwrap().parse().unwrap(),
                        );
                    }
                    [b'x', ..] => encode::sensitive(&mut block, &name, &value),
                    _ => encode::field(&mut block, &name, &value),
                }
                writeln!(out, "{line}").unwrap();
            }
            "block" => {
                out.push_str("block ");
                block.drain(..).for_each(|octet| write!(out, "{octet:02x}").unwrap());
                out.push('\n');
            }
            // A decoder that lowered its limit wants to hear about it.
            "limit" => {
                let limit = words.next().unwrap().parse().unwrap();
                encode::size_update(&mut block, limit);
                writeln!(out, "{line}").unwrap();
            }
            "connection" => writeln!(out, "{line}").unwrap(),
            _ => {}
        }
    }
    std::fs::write(std::env::var("ALTS_HPACK_BLOCKS").unwrap(), out).unwrap();
}
