//! A long list that never moves its items.

/// Items of one piece of memory.
const CHUNK: usize = 256;

/// A list in pieces: growing it copies nothing, and never needs the memory of the old list and the new one at once.
#[derive(Debug)]
pub(crate) struct Chunks<T> {
    full: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { full: Vec::new(), len: 0 }
    }
}

impl<T> Chunks<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        match self.full.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(item),
            // A graph of one task must not pay for 256.
            None => self.full.push(vec![item]),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(item);
                self.full.push(chunk);
            }
        }
        self.len += 1;
    }

    pub(crate) fn get(&self, at: u32) -> Option<&T> {
        self.full.get(at as usize / CHUNK)?.get(at as usize % CHUNK)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + Clone {
        self.full.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.full.iter_mut().flatten()
    }
}

impl<T> std::ops::Index<u32> for Chunks<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        &self.full[at as usize / CHUNK][at as usize % CHUNK]
    }
}

impl<T> std::ops::IndexMut<u32> for Chunks<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.full[at as usize / CHUNK][at as usize % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_places_across_pieces() {
        let mut list = Chunks::default();
        (0..1000_u32).for_each(|item| list.push(item));
        assert_eq!(list.len(), 1000);
        assert!((0..1000).all(|at| list[at] == at));
        assert_eq!(list.get(1000), None);
        list[256] = 7;
        assert_eq!(list.iter().skip(255).take(2).copied().collect::<Vec<_>>(), [255, 7]);
        list.iter_mut().for_each(|item| *item += 1);
        assert_eq!(list.iter().map(|item| u64::from(*item)).sum::<u64>(), 500_500 - 256 + 7);
    }
}
