//! What is to be copied, piece by piece.

use std::ops::Range;

use alts_nbd::wire::flags::AllocationFlags;
use alts_nbd::wire::reply::Extent;

use super::place::Place;
use crate::outcome::Failure;

/// What is asked about at once.
const ASKED: u64 = 1 << 30;
/// The largest piece of zeroes.
const ZEROES: u64 = 128 << 20;

/// Part of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) range: Range<u64>,
    /// It is known to read as zeroes.
    pub(super) zero: bool,
}

/// The way through the source.
#[derive(Debug)]
pub(super) struct Regions {
    at: u64,
    size: u64,
    /// Every piece begins at a multiple of this, and ends at one or at the end of the source.
    granule: u64,
    piece: u64,
    ask: bool,
}

impl Regions {
    pub(super) fn new(size: u64, granule: u64, piece: u64, ask: bool) -> Self {
        Self { at: 0, size, granule, piece, ask }
    }

    /// The next pieces, or `None` at the end.
    pub(super) async fn next(
        &mut self,
        source: &Place,
    ) -> Result<Option<impl Iterator<Item = Piece> + Send + use<>>, Failure> {
        if self.at >= self.size {
            return Ok(None);
        }
        let range = self.at..self.size.min(self.at + ASKED);
        let extents = match self.ask {
            true => source.extents(range.clone()).await?,
            false => Vec::new(),
        };
        let regions = self.advance(range, &extents);
        let piece = self.piece;
        Ok(Some(regions.into_iter().flat_map(move |region| cut(&region, piece))))
    }

    /// What the extents say of a range, as far as they go; without any all of it is data.
    fn advance(&mut self, range: Range<u64>, extents: &[Extent]) -> Vec<Piece> {
        let mut regions: Vec<Piece> = Vec::new();
        let mut put = |range: Range<u64>, zero| {
            if range.start < range.end {
                match regions.last_mut() {
                    Some(last) if last.zero == zero => last.range.end = range.end,
                    _ => regions.push(Piece { range, zero }),
                }
            }
        };
        let (down, up) =
            (|at: u64| at - at % self.granule, |at: u64| at.next_multiple_of(self.granule));
        // Up to here it is decided.
        let mut decided = range.start;
        let mut told = range.start;
        for extent in extents {
            let start = told;
            told = range.end.min(told + u64::from(extent.len));
            if extent.flags.contains(AllocationFlags::ZERO) {
                let zero = up(start).max(decided)..down(told);
                if zero.start < zero.end {
                    put(decided..zero.start, false);
                    put(zero.clone(), true);
                    decided = zero.end;
                }
            }
        }
        if extents.is_empty() {
            told = range.end;
        }
        let mut end = if told == self.size { told } else { down(told) };
        if end <= decided && decided == range.start {
            // Less than a granule was told.
            end = range.end.min(range.start + self.granule);
        }
        put(decided..end, false);
        self.at = end.max(decided);
        regions
    }
}

/// A region in pieces that end at multiples of their size.
fn cut(region: &Piece, piece: u64) -> impl Iterator<Item = Piece> + Send + use<> {
    let (mut at, end, zero) = (region.range.start, region.range.end, region.zero);
    let size = if zero { ZEROES } else { piece };
    std::iter::from_fn(move || {
        let start = at;
        at = end.min(start - start % size + size);
        (start < end).then_some(Piece { range: start..at, zero })
    })
}

/// Data in runs that are zeroes or not, cut at multiples of `sparse` from the start of the storage on. The data begin at
/// `offset`.
pub(super) fn runs(data: &[u8], offset: u64, sparse: Option<usize>) -> Vec<(Range<usize>, bool)> {
    let Some(sparse) = sparse else { return vec![(0..data.len(), false)] };
    let mut runs: Vec<(Range<usize>, bool)> = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let place = offset + at as u64;
        let end = data.len().min(at + sparse - (place % sparse as u64) as usize);
        let zero = is_zero(&data[at..end]);
        match runs.last_mut() {
            Some((range, same)) if *same == zero => range.end = end,
            _ => runs.push((at..end, zero)),
        }
        at = end;
    }
    runs
}

fn is_zero(data: &[u8]) -> bool {
    // Most data are not, and show it at once.
    data.iter().take(16).all(|&byte| byte == 0)
        && data.chunks(4096).all(|chunk| chunk.iter().fold(0, |all, &byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extents(told: &[(u32, bool)]) -> Vec<Extent> {
        let flags = |zero| if zero { AllocationFlags::ALL } else { AllocationFlags::NONE };
        told.iter().map(|&(len, zero)| Extent { len, flags: flags(zero) }).collect()
    }

    /// All regions of a source that tells this about itself, at most `most` extents at once.
    fn walk(told: &[(u32, bool)], granule: u64, most: usize) -> Vec<(Range<u64>, bool)> {
        let size = told.iter().map(|(len, _)| u64::from(*len)).sum();
        let mut regions = Regions::new(size, granule, 1 << 20, true);
        let mut all: Vec<(Range<u64>, bool)> = Vec::new();
        while regions.at < size {
            let (mut before, mut rest) = (0, Vec::new());
            for &(len, zero) in told {
                let end = before + u64::from(len);
                if end > regions.at {
                    rest.push(((end - regions.at.max(before)) as u32, zero));
                }
                before = end;
            }
            rest.truncate(most);
            let at = regions.at;
            for piece in regions.advance(at..size, &extents(&rest)) {
                match all.last_mut() {
                    Some((range, zero)) if *zero == piece.zero => range.end = piece.range.end,
                    _ => all.push((piece.range, piece.zero)),
                }
            }
            assert!(regions.at > at, "it goes on");
        }
        let mut end = 0;
        for (range, _) in &all {
            assert_eq!(range.start, end, "without gaps");
            assert!(range.start.is_multiple_of(granule));
            end = range.end;
        }
        assert_eq!(end, size);
        all
    }

    #[test]
    fn zeroes_are_whole_granules() {
        for most in [1, 2, 100] {
            let told = [(4096, false), (8192, true), (4096, false)];
            let expected = [(0..4096, false), (4096..12288, true), (12288..16384, false)];
            assert_eq!(walk(&told, 512, most), expected);
            // Of what begins and ends inside of granules, the whole ones between.
            let told = [(5000, false), (20_000, true), (100, false)];
            let expected = [(0..8192, false), (8192..24_576, true), (24_576..25_100, false)];
            assert_eq!(walk(&told, 4096, most), expected);
            let little = [(1000, true), (1000, true), (50, false), (70, true)];
            assert_eq!(walk(&little, 4096, most), [(0..2120, false)]);
        }
        let odd = [(4096, true), (100, true)];
        assert_eq!(walk(&odd, 512, 9), [(0..4096, true), (4096..4196, false)]);
    }

    #[test]
    fn pieces_end_at_multiples() {
        let region = |range, zero| Piece { range, zero };
        let pieces: Vec<_> =
            cut(&region(100..2500, false), 1000).map(|piece| piece.range).collect();
        assert_eq!(pieces, [100..1000, 1000..2000, 2000..2500]);
        assert_eq!(cut(&region(0..1 << 30, true), 1000).count(), 8);
    }

    #[test]
    fn zeroes_in_data() {
        let mut data = vec![1; 1000];
        data[250..950].fill(0);
        assert_eq!(
            runs(&data, 0, Some(100)),
            [(0..300, false), (300..900, true), (900..1000, false)]
        );
        // Cut as the storage is.
        let shifted = [(0..290, false), (290..890, true), (890..1000, false)];
        assert_eq!(runs(&data, 10, Some(100)), shifted);
        assert_eq!(runs(&data, 0, None), [(0..1000, false)]);
        assert_eq!(runs(&[0; 50], 0, Some(100)), [(0..50, true)]);
    }
}
