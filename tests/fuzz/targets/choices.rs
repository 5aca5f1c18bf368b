//! Decisions taken from the fuzzer's bytes.

/// Reads an input from front to back. What is asked for after its end is 0, which has to be the dull choice.
#[derive(Clone, Debug)]
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    /// Several inputs in one: a length in a byte, so many bytes, and so on. Where one input tells only one story, one file of
    /// the corpus then does what dozens would.
    pub(crate) fn several(input: &'a [u8]) -> impl Iterator<Item = Self> {
        let mut rest = Some(input);
        std::iter::from_fn(move || {
            let (len, more) = rest.take()?.split_first().unwrap_or((&0, &[]));
            let (one, more) = more.split_at(more.len().min((*len).into()));
            rest = (!more.is_empty()).then_some(more);
            Some(Self(one))
        })
        .take(64)
    }

    /// Whether nothing is left to decide with.
    pub(crate) fn are_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let (taken, rest) = self.0.split_at(N.min(self.0.len()));
        array[..taken.len()].copy_from_slice(taken);
        self.0 = rest;
        array
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number below `limit`, from as many bytes as that needs.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let number = match limit {
            0..=0x100 => u32::from(self.byte()),
            0x101..=0x1_0000 => u32::from(u16::from_le_bytes(self.array())),
            _ => u32::from_le_bytes(self.array()),
        };
        number as usize % limit
    }

    /// Rarely true, and false when the input is over.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// A size from 1 to `most`, small ones about as often as large ones.
    pub(crate) fn size(&mut self, most: usize) -> usize {
        let bits = most.ilog2() as usize + 1;
        let limit = (1 << (1 + self.below(bits))).min(most);
        1 + self.below(limit)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Takes an element out of a list.
    pub(crate) fn take_from<T>(&mut self, list: &mut Vec<T>) -> Option<T> {
        (!list.is_empty()).then(|| self.below(list.len())).map(|at| list.swap_remove(at))
    }

    /// Up to `most` bytes as they are in the input.
    pub(crate) fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
