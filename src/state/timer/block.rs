//! What a queue's slots are made of: chains of small blocks, so that a queue grows without copying
//! and a slot costs nothing while it is empty.

/// A hash that is to be woken at a time, which is kept so that unsigned order is its order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) time: u64,
    pub(super) hash: u64,
}

/// A block of 2 KiB: blocks of 512 bytes took 1.6 times as long for 10 M timers over an hour, since
/// the processor does not foresee the next line in them; 4 KiB took 0.85 of it, and a slot of one
/// entry would cost that much (`cargo bench --bench parts_timer`).
pub(super) const ENTRIES: usize = 127;
const _: () = assert!(size_of::<Block>() == 2 << 10);

pub(super) struct Block {
    next: Option<Box<Block>>,
    len: usize,
    entries: [Entry; ENTRIES],
}

impl Block {
    const EMPTY: Block =
        Block { next: None, len: 0, entries: [Entry { time: 0, hash: 0 }; ENTRIES] };

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries[..self.len]
    }
}

/// Where blocks come from and go to.
#[derive(Default)]
pub(super) struct Blocks {
    spare: Chain,
    spare_count: usize,
    /// Spare ones and those in use.
    count: usize,
}

/// Blocks kept for later use, at most: what half-filled slots take, so that the steady flow
/// through a queue allocates nothing.
const SPARE_MAX: usize = 128;

impl Blocks {
    fn take(&mut self) -> Box<Block> {
        if let Some(block) = self.spare.pop_block() {
            self.spare_count -= 1;
            return block;
        }
        self.count += 1;
        Box::new(Block::EMPTY)
    }

    pub(super) fn give_back(&mut self, mut block: Box<Block>) {
        if self.spare_count == SPARE_MAX {
            self.count -= 1;
            return;
        }
        block.len = 0;
        self.spare.push_block(block);
        self.spare_count += 1;
    }

    pub(super) fn bytes(&self) -> usize {
        self.count * size_of::<Block>()
    }
}

/// A bag of entries. Only its first block may have room.
#[derive(Default)]
pub(super) struct Chain {
    head: Option<Box<Block>>,
}

impl Chain {
    #[inline]
    pub(super) fn push(&mut self, entry: Entry, blocks: &mut Blocks) {
        if let Some(block) = &mut self.head
            && block.len < ENTRIES
        {
            block.entries[block.len] = entry;
            block.len += 1;
            return;
        }
        self.push_to_new(entry, blocks);
    }

    #[inline(never)]
    fn push_to_new(&mut self, entry: Entry, blocks: &mut Blocks) {
        let mut block = blocks.take();
        block.entries[0] = entry;
        block.len = 1;
        self.push_block(block);
    }

    fn push_block(&mut self, mut block: Box<Block>) {
        block.next = self.head.take();
        self.head = Some(block);
    }

    pub(super) fn pop_block(&mut self) -> Option<Box<Block>> {
        let mut block = self.head.take()?;
        self.head = block.next.take();
        Some(block)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Takes the entries out that are wanted and gives them to `out`. Blocks without any stay as
    /// they are, so this mostly reads.
    pub(super) fn take_out(
        &mut self,
        is_wanted: impl Fn(Entry) -> bool,
        blocks: &mut Blocks,
        out: &mut impl FnMut(Entry),
    ) {
        let mut rest = std::mem::take(self);
        while let Some(block) = rest.pop_block() {
            if !block.entries().iter().any(|entry| is_wanted(*entry)) {
                self.put_behind_first(block);
                continue;
            }
            for &entry in block.entries() {
                if is_wanted(entry) { out(entry) } else { self.push(entry, blocks) }
            }
            blocks.give_back(block);
        }
    }

    fn put_behind_first(&mut self, mut block: Box<Block>) {
        match &mut self.head {
            Some(first) => {
                block.next = first.next.take();
                first.next = Some(block);
            }
            None => self.head = Some(block),
        }
    }
}

impl Drop for Chain {
    /// Block by block: a chain of millions dropped by recursion would overflow the stack.
    fn drop(&mut self) {
        while self.pop_block().is_some() {}
    }
}
