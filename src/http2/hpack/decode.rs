//! Header blocks, received.

use std::cell::Cell;
use std::ops::Range;

use super::table::{OVERHEAD, Table};
use super::{DEFAULT_TABLE_SIZE, HpackError, MAX_TABLE_SIZE, huffman, integer, static_table};

/// The receiving side of a connection's header compression.
///
/// It takes 24 bytes, and one allocation for the dynamic table if the peer puts something into it: the text and 4 bytes an
/// entry, so at most what the limit says. Nothing else is held between two blocks but up to 1 KiB for the thread.
///
/// After an error the table no longer agrees with the peer's: the connection must be closed with `COMPRESSION_ERROR`. A decoder
/// that is used nevertheless has an empty table.
///
/// ```
/// use alts::http2::hpack::Decoder;
///
/// let mut decoder = Decoder::new(4_096);
/// let mut fields = Vec::new();
/// // `:method: POST` by its number, and `te: trailers` as a literal that is to be remembered.
/// let block = b"\x83\x40\x02te\x08trailers";
/// let listed = decoder.decode(block, 16 << 10, |name, value| {
///     fields.push((name.to_vec(), value.to_vec()));
/// })?;
/// assert_eq!(fields[1], (b"te".to_vec(), b"trailers".to_vec()));
/// assert!(!listed.over_limit);
///
/// // From now on one octet is enough for it.
/// decoder.decode(b"\xBE", 16 << 10, |name, value| assert_eq!((name, value), (&b"te"[..], &b"trailers"[..])))?;
/// # Ok::<(), alts::http2::hpack::HpackError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    table: Box<[u8]>,
    /// What the peer has chosen.
    max: u32,
    /// What it may choose.
    limit: u32,
}

/// What [`Decoder::decode`] says of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The size of the header list: for each field the bytes of name and value, and 32 (RFC 9113, section 6.5.2).
    pub size: usize,
    /// Whether it exceeds the limit, so that not all fields were reported.
    pub over_limit: bool,
}

/// Memory for decoded text that a thread keeps from block to block, in bytes at most.
const DECODED: usize = 1 << 10;

thread_local! {
    static DECODED_TEXT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Text of a literal: where it stands until the field is complete.
enum Text<'block> {
    /// In the block, or in the static table.
    Plain(&'block [u8]),
    /// In the dynamic table.
    Table(Range<usize>),
    /// Among what was decoded.
    Decoded(Range<usize>),
}

impl Text<'_> {
    #[inline]
    fn get<'text>(&'text self, table: &'text Table, decoded: &'text [u8]) -> &'text [u8] {
        match self {
            Self::Plain(text) => text,
            Self::Table(place) => table.text(place.clone()),
            Self::Decoded(place) => &decoded[place.clone()],
        }
    }
}

impl Decoder {
    /// A decoder with an empty table. `limit` is the `SETTINGS_HEADER_TABLE_SIZE` that holds at the start: 4,096 unless the
    /// peer is known to have acknowledged another. More than [`MAX_TABLE_SIZE`] counts as that.
    pub fn new(limit: u32) -> Self {
        let limit = limit.min(MAX_TABLE_SIZE);
        Self { table: Box::default(), max: limit.min(DEFAULT_TABLE_SIZE), limit }
    }

    /// Applies another `SETTINGS_HEADER_TABLE_SIZE`: when the peer has acknowledged it, not before.
    ///
    /// A peer must begin its next block with a size update if the limit is now below what it uses (RFC 7541, section 4.2).
    /// Some forget; they are served as long as they do not refer to what went.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit.min(MAX_TABLE_SIZE);
        if self.max > self.limit {
            self.max = self.limit;
            let mut table = Table::open(std::mem::take(&mut self.table), self.max);
            table.set_max(self.max);
            self.table = table.close();
        }
    }

    /// Bytes of memory that the dynamic table takes at this moment, beyond the decoder itself.
    pub fn allocated(&self) -> usize {
        self.table.len()
    }

    /// Decodes one complete header block and calls `field` with each name and value, in order.
    ///
    /// `list_limit` bounds the size of the list as [`Listed::size`] counts it. The field that would exceed it and all after it
    /// are decoded for what they do to the table, and not reported. Names and values are any bytes: what HTTP allows in them
    /// is for the caller to check.
    ///
    /// # Errors
    /// The block is not a header block, or refers to what the table does not hold. Fields before the fault have been reported.
    #[inline]
    pub fn decode(
        &mut self,
        block: &[u8],
        list_limit: usize,
        mut field: impl FnMut(&[u8], &[u8]),
    ) -> Result<Listed, HpackError> {
        let mut run = Run {
            table: Table::open(std::mem::take(&mut self.table), self.max),
            max: self.max,
            limit: self.limit,
            decoded: Vec::new(),
        };
        let mut listed = Listed { size: 0, over_limit: false };
        let mut begun = false;
        let mut input = block;
        while let Some(&first) = input.first() {
            if first & 0xE0 == 0x20 {
                run.resize(&mut input, begun)?;
                continue;
            }
            begun = true;
            let mut report = |name: &[u8], value: &[u8]| {
                listed.size = listed.size.saturating_add(name.len() + value.len() + OVERHEAD);
                listed.over_limit |= listed.size > list_limit;
                if !listed.over_limit {
                    field(name, value);
                }
            };
            if first & 0x80 != 0 {
                let (name, value) = run.indexed(&mut input)?;
                report(name, value);
                continue;
            }
            let (name, value) = run.literal(&mut input, first)?;
            report(name.get(&run.table, &run.decoded), value.get(&run.table, &run.decoded));
            if first & 0x40 != 0 {
                run.insert(&name, &value);
            }
        }
        if (1..=DECODED).contains(&run.decoded.capacity()) {
            run.decoded.clear();
            // At the thread's end it is dropped.
            let _ = DECODED_TEXT.try_with(|text| text.set(run.decoded));
        }
        self.max = run.max;
        self.table = run.table.close();
        Ok(listed)
    }
}

/// The decoding of one block.
struct Run {
    table: Table,
    max: u32,
    limit: u32,
    /// The text of one field, where it was Huffman-coded.
    decoded: Vec<u8>,
}

impl Run {
    /// The next field, which is in a table (section 6.1).
    #[inline]
    fn indexed(&self, input: &mut &[u8]) -> Result<(&[u8], &[u8]), HpackError> {
        let index = integer::take(input, 7)? as usize;
        if let Some(entry) = static_table::entry(index) {
            return Ok(entry);
        }
        self.table.get(index.checked_sub(static_table::LEN + 1).ok_or(HpackError::NoSuchEntry)?)
    }

    /// The next field, a literal whose first octet is `first` (section 6.2).
    #[inline]
    fn literal<'block>(
        &mut self,
        input: &mut &'block [u8],
        first: u8,
    ) -> Result<(Text<'block>, Text<'block>), HpackError> {
        self.decoded.clear();
        // With incremental indexing the index has six bits, without or never four.
        let bits = if first & 0x40 != 0 { 6 } else { 4 };
        let name = match integer::take(input, bits)? as usize {
            0 => self.string(input)?,
            index => self.name(index)?,
        };
        Ok((name, self.string(input)?))
    }

    #[inline]
    fn name(&self, index: usize) -> Result<Text<'static>, HpackError> {
        if let Some((name, _)) = static_table::entry(index) {
            return Ok(Text::Plain(name));
        }
        let index = index.checked_sub(static_table::LEN + 1).ok_or(HpackError::NoSuchEntry)?;
        Ok(Text::Table(self.table.name(index)?))
    }

    #[inline]
    fn string<'block>(&mut self, input: &mut &'block [u8]) -> Result<Text<'block>, HpackError> {
        let coded = input.first().is_some_and(|first| first & 0x80 != 0);
        let length = integer::take(input, 7)? as usize;
        let (text, rest) = input.split_at_checked(length).ok_or(HpackError::Truncated)?;
        *input = rest;
        if !coded {
            return Ok(Text::Plain(text));
        }
        if self.decoded.capacity() == 0 {
            self.decoded = DECODED_TEXT.try_with(Cell::take).unwrap_or_default();
        }
        let start = self.decoded.len();
        huffman::decode(text, &mut self.decoded)?;
        Ok(Text::Decoded(start..self.decoded.len()))
    }

    /// A dynamic table size update (section 6.3), which stands before the first field only (section 4.2).
    #[cold]
    fn resize(&mut self, input: &mut &[u8], begun: bool) -> Result<(), HpackError> {
        if begun {
            return Err(HpackError::SizeUpdateMisplaced);
        }
        let max = integer::take(input, 5)?;
        if max > self.limit {
            return Err(HpackError::SizeUpdateTooLarge);
        }
        self.max = max;
        self.table.set_max(max);
        Ok(())
    }

    fn insert(&mut self, name: &Text<'_>, value: &Text<'_>) {
        let value = match value {
            Text::Plain(value) => value,
            Text::Decoded(place) => &self.decoded[place.clone()],
            Text::Table(_) => return, // A literal's value is in the block.
        };
        match name {
            Text::Plain(name) => self.table.insert(name, value),
            Text::Decoded(place) => self.table.insert(&self.decoded[place.clone()], value),
            Text::Table(place) => self.table.insert_named(place.clone(), value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::hpack::huffman::tests::encode;

    const NO_LIMIT: usize = usize::MAX;

    fn fields(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, HpackError> {
        let mut fields = Vec::new();
        decoder.decode(block, NO_LIMIT, |name, value| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            fields.push((text(name), text(value)));
        })?;
        Ok(fields)
    }

    #[test]
    fn a_decoder_is_small_and_holds_what_it_stores() {
        assert_eq!(size_of::<Decoder>(), 24);
        let mut decoder = Decoder::new(4_096);
        fields(&mut decoder, b"\x83\x00\x01a\x01b").unwrap();
        assert_eq!(decoder.allocated(), 0);
        fields(&mut decoder, b"\x40\x02te\x08trailers").unwrap();
        assert_eq!(decoder.allocated(), 2 + 8 + 4);
        // The most that a peer can have it hold: one large entry.
        let mut block = b"\x40\x01a\x7F".to_vec();
        block.extend([0xE0, 0x1E]); // 127 + 0x60 + 0x1E * 128 = 4,063
        block.extend([b'x'; 4_063]);
        fields(&mut decoder, &block).unwrap();
        assert_eq!(decoder.allocated(), 4_096 - 32 + 4);
    }

    #[test]
    fn malformed_blocks_are_refused_for_what_they_are() {
        use HpackError as E;
        for (block, error) in [
            (&b"\x80"[..], E::NoSuchEntry),
            (b"\xBE", E::NoSuchEntry),
            (b"\x7E\x00", E::NoSuchEntry),
            (b"\xFF\x80\xFF\xFF\xFF\x0F", E::NoSuchEntry),
            (b"\xFF\xFF\xFF\xFF\xFF\x7F", E::IntegerTooLarge),
            (b"\xFF\x80\x80\x80\x80\x80\x00", E::IntegerTooLarge),
            (b"\xFF", E::Truncated),
            (b"\x40", E::Truncated),
            (b"\x40\x05abc", E::Truncated),
            (b"\x40\x01a", E::Truncated),
            (b"\x00\x01a\x7F\x80\xFF\xFF\xFF\x0F", E::Truncated),
            (b"\x00\x81\xFF\x00", E::Huffman),
            (b"\x83\x20", E::SizeUpdateMisplaced),
            (b"\x20\x83\x20", E::SizeUpdateMisplaced),
            (b"\x3F\xE2\x1F", E::SizeUpdateTooLarge), // 4,097
        ] {
            let mut decoder = Decoder::new(4_096);
            assert_eq!(fields(&mut decoder, block), Err(error), "{block:02x?}");
            assert_eq!(decoder.allocated(), 0);
        }
    }

    #[test]
    fn size_updates_empty_and_restore_the_table() {
        let mut decoder = Decoder::new(4_096);
        fields(&mut decoder, b"\x40\x01a\x01b\x40\x01c\x01d").unwrap();
        // To 34 bytes: the newest stays.
        assert_eq!(fields(&mut decoder, b"\x3F\x03\xBE").unwrap()[0].0, "c");
        assert_eq!(fields(&mut decoder, b"\xBF"), Err(HpackError::NoSuchEntry));

        let mut decoder = Decoder::new(4_096);
        fields(&mut decoder, b"\x40\x01a\x01b").unwrap();
        assert_eq!(fields(&mut decoder, b"\x20\x3F\xE1\x1F\xBE"), Err(HpackError::NoSuchEntry));
        // An entry that is too large for the table empties it, and is a field nevertheless.
        let mut decoder = Decoder::new(4_096);
        fields(&mut decoder, b"\x3F\x03\x40\x01a\x01b").unwrap();
        assert_eq!(fields(&mut decoder, b"\x40\x02aa\x01b").unwrap()[0].0, "aa");
        assert_eq!(decoder.allocated(), 0);
    }

    #[test]
    fn a_peer_that_forgets_the_size_update_is_served_until_it_refers_to_what_went() {
        let mut decoder = Decoder::new(4_096);
        fields(&mut decoder, b"\x40\x01a\x01b\x40\x01c\x01d").unwrap();
        decoder.set_limit(40);
        assert_eq!(fields(&mut decoder, b"\x83\xBE").unwrap()[1].0, "c");
        assert_eq!(fields(&mut decoder, b"\xBF"), Err(HpackError::NoSuchEntry));
        assert_eq!(fields(&mut decoder, b"\x3F\x0A"), Err(HpackError::SizeUpdateTooLarge)); // 41
        decoder.set_limit(0);
        assert_eq!(decoder.allocated(), 0);
        assert_eq!(fields(&mut decoder, b"\x40\x01a\x01b").unwrap()[0].1, "b");
        assert_eq!(decoder.allocated(), 0);
        // A larger limit is used when the peer says so.
        decoder.set_limit(1 << 20);
        assert_eq!(fields(&mut decoder, b"\x3F\xE1\xFF\x04"), Err(HpackError::SizeUpdateTooLarge)); // 81,920
        fields(&mut decoder, b"\x3F\xE1\xFF\x03\x40\x01a\x01b").unwrap(); // 65,536
        assert_eq!(decoder.allocated(), 6);
    }

    #[test]
    fn past_the_list_limit_the_table_is_kept_and_nothing_reported() {
        let mut decoder = Decoder::new(4_096);
        let mut names = Vec::new();
        let block = b"\x40\x01a\x01b\x00\x01x\x01y\x40\x01c\x01d\x83";
        let listed = decoder.decode(block, 68, |name, _| names.push(name.to_vec())).unwrap();
        assert_eq!(names, [b"a", b"x"]);
        assert_eq!(listed, Listed { size: 3 * 34 + 11 + 32, over_limit: true });
        let listed = decoder.decode(b"\xBE\xBF", 68, |_, _| {}).unwrap();
        assert_eq!(listed, Listed { size: 68, over_limit: false });
    }

    #[test]
    fn huffman_names_and_values_are_stored_decoded() {
        let coded = |text: &str| {
            let code = encode(text.bytes().map(Into::into));
            [&[0x80 | code.len() as u8][..], &code].concat()
        };
        let mut decoder = Decoder::new(4_096);
        let block = [b"\x40", &coded("grpc-status")[..], &coded("0"), b"\xBE"].concat();
        let expected = ("grpc-status".to_owned(), "0".to_owned());
        assert_eq!(fields(&mut decoder, &block).unwrap(), [expected.clone(), expected]);
        // A name of the table with another value, which makes the old entry go.
        let mut decoder = Decoder::new(4_096);
        let block = [b"\x3F\x0E\x40", &coded("grpc-status")[..], &coded("0"), b"\x7E\x0212\xBE"];
        let all = fields(&mut decoder, &block.concat()).unwrap();
        assert_eq!(all[1], ("grpc-status".to_owned(), "12".to_owned()));
        assert_eq!(all[1], all[2]);
        assert_eq!(decoder.allocated(), 11 + 2 + 4);
    }
}
